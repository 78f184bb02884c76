"""Fixtures for everything that awaits: the asyncio backend, on each loop at hand."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

_LOOPS = ["asyncio"]
if importlib.util.find_spec("uvloop") is not None:
    _LOOPS.append("uvloop")


@pytest.fixture(params=_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}
