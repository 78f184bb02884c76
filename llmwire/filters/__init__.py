"""Filters: pure stages that take an event and return events, and the chain of them.

They know events and nothing of dialects or bytes. This package holds those that
translation itself needs (`stops`, `unwrap`, `think`) and those that a program may add
(`loops`); every other callable of the same form will do as well.
"""

from __future__ import annotations

from llmwire.filters._chain import Filter, FilterChain, FilterFactory, run

__all__ = ("Filter", "FilterChain", "FilterFactory", "run")
