"""Tests of what is told about mistakes: the place, what was due, what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmwire_server.config import ConfigError, Flag, load
from llmwire_server.config.files import FILE_BYTES


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "llmwire.yaml"


GOOD = "backends:\n  a: {dialect: gemini, base_url: 'http://x'}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend: {}", "line 1, backend: unknown key; did you mean 'backends'?"),
        ("x: 1", "line 1, x: unknown key; known are host, port, anthropic_port, keys"),
        ("- 1", "line 1: expected names and values"),
        ("? [a]\n: 1", "line 1: a name must be text"),
        ("!x y: 1", "line 1: a name must be text"),
        ("backends: {}\nbackends: {}", "line 2, backends: stands here twice"),
        ("log: {level: info,\n level: info}", "line 2, log.level: stands here twice"),
        ("a: b: c", "line 1: not YAML: mapping values are not allowed here"),
        ("host: a\n\tport: 1", "line 2: not YAML: found character that cannot start"),
        ("host: a\n\tport: 1", "by spaces, not tabs"),
        ("port: 1\n---\nport: 2", "line 2: not YAML: but found another document"),
        ("backends: 7", "line 1, backends: expected names and values"),
        ("backends:\n  'a b': {}", "line 2, backends.a b: a backend's name is letters"),
        ("backends:\n  simulator: {}", "a backend's name is not that of the embedded"),
        ("backends:\n  a: {dialect: gemini}", "line 2, backends.a.base_url: is needed"),
        ("backends:\n  a: {base_url: 'http://x'}", "backends.a.dialect: is needed"),
        ("backends:\n  a:\n    key: 1", "line 3, backends.a.key: unknown key"),
        ("backends: {a: {dialect: gemni}}", "unknown dialect 'gemni'; did you mean"),
        ("backends: {a: {profile: olama}}", "unknown profile 'olama'; did you mean"),
        ("backends: {a: {base_url: 'ftp://x'}}", "base_url: expected a URL like"),
        ("backends: {a: {base_url: 'http://u:p@x'}}", "a base URL has no user"),
        ("backends: {a: {models: m}}", "backends.a.models: expected a list"),
        ("backends: {a: {models: [[]]}}", "backends.a.models[0]: expected text"),
        ("backends: {a: {dialect: null}}", "backends.a.dialect: expected text"),
        ("backends: {a: {api_key: '${NO}'}}", "the environment has no variable NO"),
        ("backends: {a: {api_key: 'se cret'}}", "a key is made of visible ASCII"),
        (
            "backends: {a: {headers: {X T: v}}}",
            "backends.a.headers.X T: expected a hea",
        ),
        ("backends: {a: {headers: {'': v}}}", "backends.a.headers.: expected a header"),
        ("backends: {a: {headers: {'x\\n': v}}}", "line 1, backends.a.headers."),
        ("backends: {a: {headers: {'x:': v}}}", "backends.a.headers.x:: expected a"),
        ("filters: {loop: {}}", "filters.loop: unknown key; did you mean 'loops'?"),
        ("filters: {loops: cut}", "filters.loops: expected names and values"),
        ("filters: {loops: {mode: ct}}", "expected cut, error, off or report, not"),
        ("filters: {loops: {watch: [txt]}}", "filters.loops.watch[0]: expected argum"),
        ("filters: {think: {tags: [thnk]}}", "unknown think-tag 'thnk'; did you mean"),
        ("filters: {think: {retroactive: 65537}}", "expected a whole number from 0 to"),
        ("filters: {leaked_calls: {formats: [x]}}", "unknown call-format 'x'"),
        ("backends: {a: {model_filters: {a*b: {}}}}", "a*b: expected a model's name,"),
        ("backends: {a: {model_filters: {'': {}}}}", "expected a model's name, or its"),
        ("default_backend: [a]", "default_backend: expected text"),
        (GOOD + "default_backend: b", "line 3, default_backend: there is no backend"),
        ("losses: {policy: {samplng: error}}", "unknown feature; did you mean 'sampli"),
        ("losses: {policy: {sampling: er}}", "allow, emulate, error or warn, not 'er'"),
        ("log: {level: inf}", "error, info or warning, not 'inf'; did you mean 'info'"),
        ("keys: a", "keys: expected a list"),
        ("keys: ['***']", "keys[0]: this is a mask"),
        ("keys: [~]", "keys[0]: expected text"),
        ("cors: {origins: ['http://a/b']}", "cors.origins[0]: expected an origin"),
        ("limits: {body: 1QB}", "or a size such as 10MB or 64KiB, not '1QB'"),
        (
            "timeouts: {idle: 2d}",
            "timeouts.idle: expected a number from 0 to 86400, or",
        ),
        ("port: !env PORT", "line 1, port: tags have no meaning here"),
        ("limits: {<<: 7}", "limits.<<: expected an alias of a mapping"),
        ("host: '${'", "host: expected ${VARIABLE} or"),
        ("host: '${1}'", "host: expected ${VARIABLE} or"),
        ("anthropic_port: 8000", "line 1, anthropic_port: is that of `port`"),
        ("simulator: {pace: x}", "simulator.pace: expected a number"),
        ("simulator: {pace: -1}", "simulator.pace: expected a number from 0 to 86400"),
        ("simulator: {pace: nan}", "simulator.pace: expected a number from 0"),
        ("simulator: {rules: 1}", "simulator.rules: expected a list"),
        ("simulator: {rules: [1]}", "simulator.rules[0]: expected names and values"),
        ("simulator: {rules: [{}]}", "simulator.rules[0].match: is needed"),
        ("simulator: {rules: [{match: '('}]}", "not a regular expression"),
        ("simulator: {rules: [{error: 200}]}", "number from 400 to 599, not '200'"),
        ("simulator: {rules: [{error: x}]}", "number from 400 to 599, not 'x'"),
        ("simulator: {rules: [{txt: x}]}", "rules[0].txt: unknown key; did you mean"),
    ],
)
def test_mistakes_are_told_with_their_place(
    written: Path, text: str, message: str
) -> None:
    written.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(str(written), environment={})
    assert message in str(raised.value)
    assert all(p.startswith(f"{written}, line ") for p in raised.value.problems)


MANY_MISTAKES = """
prot: 1
limits: {body: 0}
backends:
  a: {dialect: gemini}
  b: {dialect: gemni, base_url: x}
default_backend: c
simulator: {rules: [{error: 1}]}
"""


def test_all_mistakes_are_told_at_once(written: Path) -> None:
    written.write_text(MANY_MISTAKES)
    with pytest.raises(ConfigError) as raised:
        flags = [Flag("--port", "port", "x")]
        load(str(written), flags=flags, environment={"LLMWIRE_HOTS": "x"})
    told = [problem.removeprefix(f"{written}, ") for problem in raised.value.problems]
    starts = (
        "--port: ",
        "LLMWIRE_HOTS: ",
        "line 2, prot: ",
        "line 3, limits.body: ",
        "line 5, backends.a.base_url: is needed",
        "line 6, backends.b.dialect: ",
        "line 6, backends.b.base_url: ",
        "line 7, default_backend: ",
        "line 8, simulator.rules[0].error: ",
        "line 8, simulator.rules[0].match: is needed",
    )
    assert len(told) == len(starts), told
    for text, start in zip(told, starts, strict=True):
        assert text.startswith(start)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("backends: {a: {dialect: gemni, base_url: x}}\ndefault_backend: a", 2),
        ("backends: {a: {dialect: gemini, base_url: 'http://a', tls: 7}}", 1),
        ("backends: {a: 7}\ndefault_backend: a", 1),
        ("backends: {a: {dialect: gemini, base_url: 'http://a', profle: 7}}", 1),
        ("7", 1),
    ],
)
def test_a_mistake_has_no_mistakes_of_its_own(
    written: Path, text: str, count: int
) -> None:
    written.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(str(written), environment={})
    assert len(raised.value.problems) == count


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(str(tmp_path / "no.yaml"), environment={})
    binary = tmp_path / "bad.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(binary), environment={})
    binary.write_bytes(b"a: \x00")
    with pytest.raises(ConfigError, match="not YAML"):
        load(str(binary), environment={})


def test_long_files_are_refused(written: Path) -> None:
    written.write_text("#" * FILE_BYTES)
    assert load(str(written), environment={}).simulated
    written.write_text("#" * (FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="longer than 1000000 bytes"):
        load(str(written), environment={})


def test_names_are_shown_short_and_plain(written: Path) -> None:
    written.write_text('"' + "a" * 999 + '": 1\n"\\x1b[31m": 2')
    with pytest.raises(ConfigError) as raised:
        load(str(written), environment={})
    assert len(raised.value.problems) == 2
    assert len(str(raised.value)) < 1000
    assert "\x1b" not in str(raised.value)
