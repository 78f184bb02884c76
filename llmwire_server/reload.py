"""A new configuration for a server that runs: all of it, or none.

SIGHUP asks for it. What is wrong with the new one is logged, and the old one stays;
what cannot change while the server runs is said.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Final, Protocol

import anyio
import anyio.to_thread

from llmwire_server import logs
from llmwire_server.config import ConfigError, Loaded
from llmwire_server.config.tree import Config
from llmwire_server.masking import Mask, credentials

__all__ = ("FIXED", "Reload", "Reloadable", "watch")

FIXED: Final = ("host", "port", "anthropic_port")
"""What only a new start changes."""

_LOG: Final = logging.getLogger("llmwire")


class Reloadable(Protocol):
    """What takes a configuration while it runs."""

    def reload(self, config: Config) -> None:
        """Take it from the next call on; ValueError: it cannot, the old one stays."""


class Reload:
    """Loads the configuration again, and gives it to the application if it is sound.

    Args:
        app: The application.
        config: What it runs with.
        load: Loads what it is to run with, as it was loaded at the start.
    """

    def __init__(
        self, app: Reloadable, config: Config, load: Callable[[], Loaded]
    ) -> None:
        self._app = app
        self._config = config
        self._load = load
        # Calls that began under an older configuration may still log.
        self._secrets = set(credentials(config))

    async def __call__(self) -> bool:
        """Reload; False where the old configuration stays. Never raises.

        Files are read in a thread, so that calls go on meanwhile.
        """
        try:
            loaded = await anyio.to_thread.run_sync(self._load)
            self._app.reload(loaded.config)
        except ConfigError as error:
            self._keep(error.problems)
            return False
        except ValueError as error:
            self._keep((str(error),))
            return False
        old, self._config = self._config, loaded.config
        self._secrets.update(credentials(loaded.config))
        logs.configure(loaded.config.log, hide=Mask(self._secrets).text)
        _LOG.info("configuration reloaded from %s", loaded.file or "the environment")
        for name in FIXED:
            if getattr(old, name) != getattr(loaded.config, name):
                _LOG.warning("%s has changed: it takes effect at the next start", name)
        return True

    def _keep(self, problems: tuple[str, ...]) -> None:
        for problem in problems:
            _LOG.error("configuration not reloaded, the old one stays: %s", problem)


async def watch(reload: Reload) -> None:
    """Reload at every SIGHUP, one after the other, until cancelled.

    Returns at once on systems without that signal (Windows).
    """
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None:
        return
    with anyio.open_signal_receiver(hangup) as hangups:
        async for _ in hangups:
            await reload()
