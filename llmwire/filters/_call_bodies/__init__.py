"""Readers of what stands between the marks of a call that was written as text.

Each module knows one way to write names and arguments, and nothing of marks or streams.
"""
