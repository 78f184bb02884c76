"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile(
    "default",
    deadline=None,
    max_examples=50 if os.environ.get("CI") else 100,
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("default")
