"""For whom something is written, and what may be written back as it came."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from llmwire._json import level
from llmwire.losses import LossRecorder
from llmwire.messages import Extras
from llmwire.profiles import Profile

NAME: Final = "openai-chat"
"""This dialect's name."""

VENDOR: Final = ("openai", "azure", "github-copilot")
"""Profiles of OpenAI's own servers, wherever they stand."""


class Writing(Struct, frozen=True, kw_only=True):
    """For whom parts are written, and what may be written back as it came."""

    profile: Profile
    losses: LossRecorder
    native: bool
    """The node was read from this dialect: its notes and raw values are ours."""
    extras: bool
    """Its strangers may be sent."""
    request: bool = False
    """A request: only its own signatures are shown to a server."""
    exact: bool = False
    """It goes to the vendor whose dialect this is: nothing is adapted."""
    model: str | None = None
    tag: str | None = None

    def strangers(self, extras: Extras | None, path: str, prefix: str = "") -> Extras:
        """Members to write at a node's own level; reports what must stay out."""
        if not extras:
            return {}
        if self.extras:
            return level(extras, prefix)
        if not prefix:
            self.losses.drop_extras(extras, path)
        return {}
