"""Tests of `llmwire_server.config.checks`: what a whole configuration gets wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from llmwire_server.config import ConfigError, load, load_all, warnings
from llmwire_server.config.checks import loopback

BACKEND = "dialect: gemini, base_url: 'https://x'"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "llmwire.yaml"


def _warned(written: Path, text: str, **environment: str) -> list[str]:
    written.write_text(text)
    written.chmod(0o600)
    found = load_all(str(written), environment=environment)
    return warnings(found.config, found.origins, found.file, found.outdone)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("LocalHost.", True),
        ("a.localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert loopback(host) is local


KEY = "k" * 16
OTHER = "o" * 16


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (f"keys: ['${{K:-{KEY}}}']", "host: keys are asked for, though only this"),
        ("host: 0.0.0.0", "keys: without any, only callers on this machine are"),
        ("host: ''", "though the server listens at every address"),
        (
            f"host: h\nkeys: ['${{K:-{KEY}}}', '${{K:-short}}']",
            "keys[1]: shorter than 16",
        ),
        (
            f"host: h\nkeys: ['${{K:-{KEY}}}', '${{K:-{KEY}}}']",
            "keys: one stands there",
        ),
        ("cors: {origins: ['*']}", "cors.origins: `*` lets every web page"),
        ("filters: {loops: {at: suspect}}", "filters.loops: has no effect, for no"),
        (
            f"backends: {{b: {{{BACKEND}, filters: {{think: {{retroactive: 9}}}}}}}}",
            "backends.b.filters.think: has no effect",
        ),
        (
            f"backends: {{b: {{{BACKEND}, model_filters: {{m*: {{leaked_calls: "
            "{reasoning: no}}}}}",
            "backends.b.model_filters.m*.leaked_calls: has no effect",
        ),
        ("connections: {total: 1}", "connections.per_origin: more than"),
        ("timeouts: {total: 1}", "timeouts.total: shorter than"),
        (
            "backends: {a: {dialect: gemini, base_url: 'http://x',"
            " api_key: '${K:-k}'}}",
            "backends.a.base_url: secrets go to x unencrypted",
        ),
        (
            "backends: {a: {dialect: gemini, base_url: 'http://x',"
            " headers: {a: '${K:-k}'}}}",
            "backends.a.base_url: secrets go to x unencrypted",
        ),
        (
            f"backends:\n  a: {{{BACKEND}, models: [m]}}\n"
            f"  b: {{{BACKEND}, models: [m]}}",
            "backends.b.models: 'm' is listed by a as well",
        ),
        (
            f"host: h\nkeys: ['${{K:-{KEY}}}']\n"
            f"backends: {{a: {{{BACKEND}, api_key: '${{K:-{KEY}}}'}}}}",
            "keys: one of them is a backend's api_key",
        ),
    ],
)
def test_warnings(written: Path, text: str, warning: str) -> None:
    [found] = _warned(written, text)
    assert found.startswith(warning) or warning in found
    assert KEY not in found


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"host: h\nkeys: [{KEY}, {OTHER}]",
        f"backends: {{a: {{{BACKEND}, api_key: k, models: [m]}}}}",
        "backends: {a: {dialect: gemini, base_url: 'http://127.0.0.1', api_key: k}}",
        "backends: {a: {dialect: gemini, base_url: 'http://x'}}",
        "filters: {loops: {at: suspect, mode: cut}}",
        "filters: {loops: {at: suspect}, think: {mode: off, retroactive: 9}}\n"
        f"backends: {{b: {{{BACKEND}, filters: {{loops: {{mode: report}}}}}}}}",
    ],
)
def test_no_warnings(written: Path, text: str) -> None:
    assert _warned(written, text) == []


def test_what_the_environment_beats_is_told(written: Path) -> None:
    text = "backends: {gemini: {api_key: k, base_url: 'https://x'}}"
    environment = {"GEMINI_API_KEY": "e", "GEMINI_BASE_URL": "https://e"}
    key, url = _warned(written, text, **environment)
    over = "the environment's {} goes over the file"
    assert key == "backends.gemini.api_key: " + over.format("GEMINI_API_KEY")
    assert url == "backends.gemini.base_url: " + over.format("GEMINI_BASE_URL")


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes")
@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (f"host: h\nkeys: [{KEY}]", 0o644, "everybody can read it"),
        (f"host: h\nkeys: [{KEY}]", 0o640, "its group can read it"),
        (f"host: h\nkeys: ['${{K:-{OTHER}}}', {KEY}]", 0o640, "its group can read it"),
        (f"host: h\nkeys: [{KEY}]", 0o600, None),
        (f"host: h\nkeys: ['${{K:-{OTHER}}}']", 0o644, None),
        (f"backends: {{a: {{{BACKEND}, headers: {{x: y}}}}}}", 0o644, "everybody"),
        (f"backends: {{a: {{{BACKEND}}}}}", 0o644, None),
    ],
)
def test_files_with_secrets_are_for_one_reader(
    written: Path, text: str, mode: int, told: str | None
) -> None:
    written.write_text(text)
    written.chmod(mode)
    found = load_all(str(written), environment={})
    said = warnings(found.config, found.origins, found.file)
    assert [told is not None and told in each for each in said] == [True] * bool(told)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of PEM files: ca.pem, cert.pem, key.pem, both.pem, bad.pem."""
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert("client.example")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    (folder / "bad.pem").write_text("nothing")
    return folder


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ("ca_file: $/ca.pem", None),
        ("client_cert: $/cert.pem, client_key: $/key.pem", None),
        ("client_cert: $/both.pem", None),
        ("ca_file: $/no.pem", "tls.ca_file: no PEM file of authorities: No such file"),
        ("ca_file: $/bad.pem", "tls.ca_file: no PEM file of authorities: "),
        ("client_cert: $/cert.pem", "tls.client_cert: no certificate and its key: "),
        ("client_cert: $/no.pem", "tls.client_cert: no certificate and its key: No"),
        ("client_key: $/key.pem", "tls.client_key: is the key of a certificate"),
    ],
)
def test_tls_files_are_looked_into(
    written: Path, pem: Path, tls: str, message: str | None
) -> None:
    tls = tls.replace("$", str(pem))
    written.write_text(f"backends:\n  a: {{{BACKEND},\n    tls: {{{tls}}}}}")
    if message is None:
        load(str(written), environment={})
        return
    with pytest.raises(ConfigError) as raised:
        load(str(written), environment={})
    [problem] = raised.value.problems
    assert problem.startswith(f"{written}, line 3, backends.a.{message}")


def test_tls_without_tls(written: Path, pem: Path) -> None:
    tls = f"tls: {{ca_file: {pem}/ca.pem}}"
    text = f"backends: {{a: {{dialect: gemini, base_url: 'http://x', {tls}}}}}"
    [found] = _warned(written, text)
    assert found == "backends.a.tls: is not used, for its base_url is http://"
