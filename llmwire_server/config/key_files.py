"""Keys out of files of their own, as container platforms hand secrets over.

`backends.NAME.api_key_file` holds one key, `keys_file` one to a line. They are read
whenever a configuration is loaded, so at every reload too. Problems name the file and
the key of the configuration, never what the file holds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Final, TypeAlias

from msgspec.structs import replace

from llmwire_server.backends import Backend, Secret
from llmwire_server.config.settings import DEFAULT, Origin, Path
from llmwire_server.config.shapes import Scalar
from llmwire_server.config.tree import Config
from llmwire_server.config.values import BadValue, read_scalar

__all__ = ("KEY_FILE_BYTES", "with_key_files")

KEY_FILE_BYTES: Final = 65536
"""No file of keys is longer."""

Tell: TypeAlias = Callable[[Path, str], None]
"""Takes what is wrong at a key of the configuration."""

_KEY: Final = Scalar(kind="secret", secret=Secret)
_RANK: Final = {"default": 0, "file": 1, "environment": 2, "flag": 3}


def with_key_files(config: Config, origins: dict[Path, Origin], tell: Tell) -> Config:
    """`config` with the keys that stand in files of their own.

    Args:
        config: The whole.
        origins: Where its values come from; takes where these do.
        tell: Takes what is wrong.
    """
    backends = {
        name: _with_own_key(backend, ("backends", name), origins, tell)
        for name, backend in config.backends.items()
    }
    keys = config.keys
    if config.keys_file is not None:
        keys += _keys_of(config.keys_file, ("keys_file",), tell)
        if not config.keys:
            origins["keys",] = Origin("key file", config.keys_file, literal=False)
    return replace(config, backends=backends, keys=keys)


def _with_own_key(
    backend: Backend, path: Path, origins: dict[Path, Origin], tell: Tell
) -> Backend:
    """The key goes that was said by the stronger source: flags, environment, file."""
    file = backend.api_key_file
    if file is None:
        return backend
    place = (*path, "api_key_file")
    if backend.api_key is not None:
        written = origins.get((*path, "api_key"), DEFAULT)
        if _rank(written) > _rank(origins.get(place, DEFAULT)):
            return backend
        if _rank(written) == _rank(origins.get(place, DEFAULT)):
            tell(place, "stands beside api_key; say one of them")
            return backend
    keys = _keys_of(file, place, tell)
    if len(keys) > 1:
        tell(place, f"{file}: expected one key, found {len(keys)} lines")
    if not keys:
        return backend
    origins[*path, "api_key"] = Origin("key file", file, literal=False)
    return replace(backend, api_key=keys[0])


def _rank(origin: Origin) -> int:
    return _RANK[origin.kind]


def _keys_of(file: str, place: Path, tell: Tell) -> tuple[Secret, ...]:
    """The keys in a file; those that are none are told, and there must be one."""
    lines = _lines(file, place, tell)
    if lines is None:
        return ()
    keys: list[Secret] = []
    whole = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            key = read_scalar(line.strip(), _KEY)
        except BadValue as error:
            tell(place, f"{file}, line {number}: {error}")
            whole = False
            continue
        assert isinstance(key, Secret)
        keys.append(key)
    if whole and not keys:
        tell(place, f"{file}: holds no key")
    return tuple(keys)


def _lines(file: str, place: Path, tell: Tell) -> list[str] | None:
    """Of a file; None, and told, where it cannot be read."""
    try:
        with FilePath(file).open("rb") as opened:
            content = opened.read(KEY_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        shown = file if file.isprintable() else repr(file)
        tell(place, f"{shown}: {getattr(error, 'strerror', None) or 'no file name'}")
        return None
    if len(content) > KEY_FILE_BYTES:
        tell(place, f"{file}: longer than {KEY_FILE_BYTES} bytes")
        return None
    return content.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
