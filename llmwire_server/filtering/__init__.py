"""Filters of answers, as the configuration switches them on.

`rules` is what can be said of them, `plan` what is done with a call.
"""
