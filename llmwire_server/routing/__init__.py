"""Who is spoken to: pure functions of a call's path, headers and model.

`speaking` tells whose dialect a call is in, `selectors` what its model's name says,
`parameters` what stands behind a question mark there, `router` which backends may take
it. Nothing here waits for anything.
"""

from __future__ import annotations

from llmwire_server.routing.parameters import Parameters, apply, parse_parameters
from llmwire_server.routing.router import Decision, Rotation, Router, family
from llmwire_server.routing.selectors import (
    RoutingError,
    Selector,
    parse_selector,
    shown,
    write_selector,
)
from llmwire_server.routing.speaking import spoken_by, spoken_dialect

__all__ = (
    "Decision",
    "Parameters",
    "Rotation",
    "Router",
    "RoutingError",
    "Selector",
    "apply",
    "family",
    "parse_parameters",
    "parse_selector",
    "shown",
    "spoken_by",
    "spoken_dialect",
    "write_selector",
)
