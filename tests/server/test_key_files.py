"""Tests of keys that stand in files of their own."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from llmwire_server.backends import Secret
from llmwire_server.config import SHAPE, Config, ConfigError, load, load_all, shown
from llmwire_server.config import warnings as warned
from llmwire_server.config.key_files import KEY_FILE_BYTES
from llmwire_server.masking import credentials
from llmwire_server.reload import Reload

KEY = "sk-" + "k" * 20
OTHER = "sk-" + "o" * 20


class Files:
    """A configuration and the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.key = folder / "key"
        self.keys = folder / "keys"
        self.config = folder / "llmwire.yaml"

    def say(self, more: str = "", backend: str = "work") -> None:
        self.config.write_text(
            f"backends:\n"
            f"  {backend}:\n"
            f"    dialect: openai-chat\n"
            f"    base_url: https://x\n"
            f"    api_key_file: {self.key}\n{more}"
        )

    def load(self, **environment: str) -> Config:
        return load(str(self.config), environment=environment)

    def problems(self, **environment: str) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            self.load(**environment)
        assert KEY not in str(raised.value)
        return [p.removeprefix(f"{self.config}, ") for p in raised.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    "content", [KEY, KEY + "\n", KEY + "\r\n", f"\n {KEY} \n\n", "\ufeff" + KEY]
)
def test_a_backend_has_its_key_from_a_file(files: Files, content: str) -> None:
    files.key.write_bytes(content.encode())
    files.say()
    assert files.load().backends["work"].api_key == Secret(KEY)


def test_clients_have_theirs_from_one_too(files: Files) -> None:
    files.keys.write_text(f"{KEY}\n\n{OTHER}\n")
    files.config.write_text(f"keys: ['${{K}}']\nkeys_file: {files.keys}")
    assert files.load(K="mine").keys == (Secret("mine"), Secret(KEY), Secret(OTHER))
    files.config.write_text(f"keys_file: {files.keys}")
    assert files.load().keys == (Secret(KEY), Secret(OTHER))


def test_both_have_variables_and_flags(files: Files) -> None:
    files.key.write_text(KEY)
    config = load(
        environment={
            "LLMWIRE_KEYS_FILE": str(files.key),
            "LLMWIRE_BACKENDS__OPENAI__API_KEY_FILE": str(files.key),
        }
    )
    assert config.keys == (Secret(KEY),)
    assert config.backends["openai"].api_key == Secret(KEY)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ": holds no key"),
        (b"\n \n", ": holds no key"),
        (b"***\n", ", line 1: this is a mask, as `config show` writes it, not a "),
        (b"\nsk a\n", ", line 2: a key is made of visible ASCII characters"),
        (b"sk-\xff", ", line 1: a key is made of visible ASCII characters"),
        (b"sk-\x00", ", line 1: a key is made of visible ASCII characters"),
        (b"k" * (KEY_FILE_BYTES + 1), f": longer than {KEY_FILE_BYTES} bytes"),
        (f"{KEY}\n{OTHER}".encode(), ": expected one key, found 2 lines"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    files: Files, content: bytes, problem: str
) -> None:
    files.key.write_bytes(content)
    files.say()
    (told,) = files.problems()
    assert told.startswith(f"line 5, backends.work.api_key_file: {files.key}{problem}")


def test_every_bad_line_of_the_clients_keys_is_told(files: Files) -> None:
    files.keys.write_text(f"{KEY}\n{KEY} a\n***\n")
    files.config.write_text(f"port: 1\nkeys_file: {files.keys}")
    bad, mask = files.problems()
    assert bad.startswith(f"line 2, keys_file: {files.keys}, line 2: a key is made of")
    assert mask.startswith(f"line 2, keys_file: {files.keys}, line 3: this is a mask")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no", "no: No such file or directory"), ("''", ": "), ('"a\\0b"', "b': no file")],
)
def test_files_that_are_not_there_are_told(
    files: Files, name: str, reason: str
) -> None:
    files.config.write_text(f"keys_file: {name}")
    (told,) = files.problems()
    assert told.startswith("line 1, keys_file: ")
    assert reason in told


def test_all_files_are_told_of_at_once(files: Files) -> None:
    files.say(f"keys_file: {files.keys}")
    assert [told.partition(":")[0] for told in files.problems()] == [
        "line 5, backends.work.api_key_file",
        "line 6, keys_file",
    ]


def test_one_source_says_one_of_them(files: Files) -> None:
    files.key.write_text(KEY)
    files.say("    api_key: x\n")
    assert files.problems() == [
        "line 5, backends.work.api_key_file: stands beside api_key; say one of them"
    ]


def test_the_stronger_source_goes(files: Files) -> None:
    files.key.write_text(KEY)
    files.say()
    config = files.load(LLMWIRE_BACKENDS__WORK__API_KEY="other")
    assert config.backends["work"].api_key == Secret("other")
    files.config.write_text(files.config.read_text().replace("api_key_file", "#"))
    files.config.write_text(files.config.read_text() + "    api_key: written\n")
    file = str(files.key)
    config = files.load(LLMWIRE_BACKENDS__WORK__API_KEY_FILE=file)
    assert config.backends["work"].api_key == Secret(KEY)


def test_a_vendors_variable_beats_a_file_and_is_warned_of(files: Files) -> None:
    files.key.write_text(KEY)
    files.say(backend="openai")
    files.config.chmod(0o600)
    found = load_all(str(files.config), environment={"OPENAI_API_KEY": OTHER})
    assert found.config.backends["openai"].api_key == Secret(OTHER)
    (warning,) = warned(found.config, found.origins, found.file, found.outdone)
    assert warning == (
        "backends.openai.api_key_file: the environment's OPENAI_API_KEY goes over the "
        "file"
    )


def test_short_keys_of_a_file_are_warned_of(files: Files) -> None:
    files.keys.write_text("short")
    files.config.write_text(f"host: h\nkeys_file: {files.keys}")
    found = load_all(str(files.config), environment={})
    assert warned(found.config, found.origins, found.file) == [
        "keys: one: shorter than 16 characters"
    ]


def test_they_are_secrets_like_others(files: Files) -> None:
    files.key.write_text(KEY)
    files.keys.write_text(OTHER)
    files.say(f"keys_file: {files.keys}")
    found = load_all(str(files.config), environment={})
    text = shown(found.config, SHAPE, found.origins)
    assert f"api_key_file: {files.key}  # {files.config}:5" in text
    assert f"api_key: '***'  # {files.key}\n" in text
    assert f"keys: ['***']  # {files.keys}\n" in text
    files.say(f"keys_file: {files.keys}\nkeys: ['${{K}}']")
    mixed = load_all(str(files.config), environment={"K": "k"})
    text = shown(mixed.config, SHAPE, mixed.origins)
    assert f"keys: ['***', '***']  # {files.config}:7\n" in text
    assert not {KEY, OTHER} & set(text.split("'"))
    assert {KEY, OTHER} <= set(credentials(found.config))
    assert KEY not in repr(found.config)


class _App:
    def __init__(self) -> None:
        self.taken: list[Config] = []

    def reload(self, config: Config) -> None:
        self.taken.append(config)


def test_they_are_read_again_at_every_reload(files: Files) -> None:
    files.key.write_text(KEY)
    files.say()
    app = _App()
    reload = Reload(
        app, files.load(), lambda: load_all(str(files.config), environment={})
    )
    files.key.write_text(OTHER + "\n")
    assert anyio.run(reload)
    assert app.taken[-1].backends["work"].api_key == Secret(OTHER)
    files.key.unlink()
    assert not anyio.run(reload)
    assert len(app.taken) == 1
