"""Writes the pages that are made from the code: `python docs/generate.py [--check]`.

`coverage.md` is not told by anybody: for every feature a small request or answer is put
into each dialect, read back, and put into every other one; the cell says what the
losses say. `grammar.md` gets its table of states from `llmwire.grammar`;
`filters/loops.svg` shows what the loop detector does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from loop_delay import delay_plot
from probes import ANSWERS, NATIVE_ANSWERS, NATIVE_REQUESTS, REQUESTS

import llmwire
from llmwire.grammar import TRANSITIONS
from llmwire.messages import Response
from llmwire.profiles import PROFILES
from llmwire.requests import Request

DOCS: Final = Path(__file__).resolve().parent
DIALECTS: Final = ("openai-chat", "openai-responses", "anthropic", "gemini")
SHORT: Final = {
    "openai-chat": "Chat",
    "openai-responses": "Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}
ANYTHING: Final = dict.fromkeys(llmwire.FEATURES, "emulate")
"""Nothing is refused: to see whether a dialect can say it at all."""
WORDS: Final = {
    "dropped": "dropped",
    "approximated": "adapted",
    "emulated": "emulated",
    "defaulted": "adapted",
    "refused": "refused",
}
SKIPPED: Final = ("unknown", "openai-responses", "anthropic", "gemini")
"""Profiles of the vendors' own dialects, which have pages of their own."""
Node: TypeAlias = Request | Response


def _write(node: Node, dialect: str, *, forced: bool) -> tuple[bytes, Any, str]:
    """Body, losses and path of `node` in `dialect`."""
    if isinstance(node, Request):
        policy: Any = ANYTHING if forced else None
        call = llmwire.encode_request(node, dialect, policy=policy)
        return call.http.body, call.losses, call.http.path
    reply = llmwire.encode_response(node, dialect)
    return reply.body, reply.losses, ""


def _read(body: bytes, path: str, dialect: str, kind: type[Node]) -> Node:
    if kind is Request:
        http = llmwire.HTTPRequest(method="POST", path=path, body=body)
        return llmwire.decode_request(http, dialect)
    return llmwire.decode_response(body, dialect)


def _said_in(node: Node, dialect: str, feature: str) -> Node | None:
    """`node` as a client or server of `dialect` says it; None: it cannot."""
    try:
        body, losses, path = _write(node, dialect, forced=True)
    except llmwire.UnsupportedFeature:
        return None
    if any(loss.feature == feature for loss in losses):
        return None
    return _read(body, path, dialect, type(node))


def _what_happens(node: Node, target: str, feature: str) -> str:
    try:
        _, losses, _ = _write(node, target, forced=False)
    except llmwire.UnsupportedFeature as error:
        return "refused" if error.loss.feature == feature else "carried"
    found = [WORDS[loss.action] for loss in losses if loss.feature == feature]
    return found[0] if found else "carried"


def _sources(feature: str) -> Iterator[tuple[str, Node]]:
    """Every dialect that can say `feature`, and how it does."""
    for dialect in DIALECTS:
        for table, kind in ((NATIVE_REQUESTS, Request), (NATIVE_ANSWERS, Response)):
            body = table.get(feature, {}).get(dialect)
            if body is not None:
                path = "/v1beta/models/m:generateContent" if dialect == "gemini" else ""
                yield dialect, _read(body, path, dialect, kind)
                break
        else:
            neutral: Node | None = REQUESTS.get(feature) or ANSWERS.get(feature)
            said = _said_in(neutral, dialect, feature) if neutral is not None else None
            if said is not None:
                yield dialect, said


def coverage() -> str:
    """The page `coverage.md`."""
    lines = [
        "# Coverage",
        "",
        "<!-- Made by docs/generate.py: do not edit. -->",
        "",
        "What becomes of every [feature](losses.md) between every two dialects, by",
        "default. Each row is a small request or answer that one dialect can say, put",
        "into the others:",
        "",
        "- **carried**: the target says it too;",
        "- **adapted**: it is said with another value;",
        "- **emulated**: it is done by other means;",
        "- **dropped**: it is left out, and told;",
        "- **refused**: the request is not sent, unless the policy wants it dropped.",
        "",
        "Dialects that cannot say a feature themselves have no row for it.",
        "",
        "| feature | from | " + " | ".join(SHORT[name] for name in DIALECTS) + " |",
        "|---|---|" + "---|" * len(DIALECTS),
    ]
    for feature in llmwire.FEATURES:
        for source, node in _sources(feature):
            cells = [
                "·" if target == source else _what_happens(node, target, feature)
                for target in DIALECTS
            ]
            lines.append(f"| `{feature}` | {SHORT[source]} | {' | '.join(cells)} |")
    shown = "\n".join(lines)
    others = [f"`{name}`" for name in llmwire.FEATURES if f"`{name}`" not in shown]
    lines += [
        "",
        "Features of the form of one message have no row of their own: only the loss",
        f"itself tells where and why. They are {', '.join(others)}.",
    ]
    return "\n".join(lines) + "\n"


def grammar() -> str:
    """The page `grammar.md` with its table of states as the code has it."""
    rows = ["| in state | comes | then |", "|---|---|---|"]
    for state, moves in TRANSITIONS.items():
        for following in dict.fromkeys(moves.values()):
            kinds = [f"`{k.__name__}`" for k, v in moves.items() if v is following]
            rows.append(f"| {state.name} | {', '.join(kinds)} | {following.name} |")
        if not moves:
            rows.append(f"| {state.name} | nothing | |")
    return _between("grammar.md", "states", rows)


def _between(name: str, mark: str, rows: list[str]) -> str:
    """The page `name` with `rows` between its two marks."""
    page = (DOCS / name).read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return head + begin + "\n".join(rows) + "\n" + end + tail


def compatible() -> str:
    """The page `backends/compatible.md` with the table of profiles."""
    rows = ["| profile | tokens | thinking asked by | read as | sent back | rejects |"]
    rows.append("|---|---|---|---|---|---|")
    for name, profile in PROFILES.items():
        if profile.name in SKIPPED:
            continue
        rejects = ", ".join(f"`{field}`" for field in sorted(profile.rejects))
        rows.append(
            f"| `{name}` | `{profile.max_tokens_field}` | {profile.reasoning} | "
            f"`{profile.reasoning_field}` | {profile.replay_reasoning} | {rejects} |"
        )
    return _between("backends/compatible.md", "profiles", rows)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "coverage.md": coverage,
    "grammar.md": grammar,
    "backends/compatible.md": compatible,
    "filters/loops.svg": delay_plot,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` tell which are not what the code says."""
    stale = []
    for name, make in PAGES.items():
        page, text = DOCS / name, make()
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            page.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"not current: {', '.join(stale)}; run python docs/generate.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
