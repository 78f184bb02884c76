"""Configuration: YAML, the environment and flags become frozen records.

The only room that reads the environment or a configuration file. Flags beat the
environment, the environment beats the file, the file beats the defaults. Every mistake
is told, with the file, the line and the key, and the nearest name where one was
probably meant; every value knows where it comes from.
"""

from llmwire_server.config.checks import warnings
from llmwire_server.config.loading import SHAPE, Loaded, load, load_all
from llmwire_server.config.overrides import Flag
from llmwire_server.config.schema import schema
from llmwire_server.config.settings import ConfigError, Origin
from llmwire_server.config.showing import shown
from llmwire_server.config.tree import Config

__all__ = (
    "SHAPE",
    "Config",
    "ConfigError",
    "Flag",
    "Loaded",
    "Origin",
    "load",
    "load_all",
    "schema",
    "shown",
    "warnings",
)
