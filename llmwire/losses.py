"""What could not be carried, told as data.

A `Loss` names one place in the neutral node, the feature it belongs to, what was done
and why. `FEATURES` is the closed list of features, with what happens by default; a
*policy* maps features to something else. Codecs report through a `LossRecorder`, which
decides between recording and refusing, and knows nothing of any dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from llmwire.errors import LocalProtocolError, UnsupportedFeature
from llmwire.messages import Extras

__all__ = (
    "FEATURES",
    "Feature",
    "Loss",
    "LossAction",
    "LossRecorder",
    "OnLoss",
    "Policy",
    "PolicyChoice",
)

LossAction: TypeAlias = Literal[
    "dropped", "approximated", "emulated", "defaulted", "refused"
]
PolicyChoice: TypeAlias = Literal["drop", "emulate", "refuse"]
Policy: TypeAlias = Mapping[str, PolicyChoice]
OnLoss: TypeAlias = Literal["record", "refuse"]


class Loss(Struct, frozen=True, kw_only=True):
    """One thing that the target cannot say."""

    path: str
    """Place in the neutral node: `messages[2].parts[0].citations`."""
    feature: str
    """A key of `FEATURES`."""
    action: LossAction
    reason: str


class Feature(Struct, frozen=True):
    """What happens to a feature that a target lacks."""

    text: str
    """What it is, for people."""
    default: PolicyChoice = "drop"
    hard: bool = False
    """Refused in requests even when only recording: the target would reject it or
    answer another question. An explicit policy overrides."""


FEATURES: Final[Mapping[str, Feature]] = {
    "audio.output": Feature("spoken answers", hard=True),
    "cache.key": Feature("a key that groups requests for the prompt cache"),
    "cache.mark": Feature("a prompt-cache breakpoint or its time to live"),
    "call.arguments": Feature("call arguments that are not what the target takes"),
    "call.order": Feature("the position of a call among texts"),
    "call.unanswered": Feature("a call without a result", hard=True),
    "choices": Feature("more than one answer", hard=True),
    "citations": Feature("where a text comes from"),
    "extras": Feature("a member of one dialect that is not modelled"),
    "filter": Feature("something that a filter changed"),
    "filter.leaked_calls": Feature("text that was calls, and calls that it repeats"),
    "filter.loop": Feature("what comes after an answer began to repeat itself"),
    "filter.structured": Feature("an answer that was not the JSON asked for"),
    "filter.think": Feature("thinking between tags in the text"),
    "filter.tool_loop": Feature("what comes after calls began to repeat"),
    "filter.tool_repair": Feature("a call that was not what its tool takes"),
    "filter.virtual_tools": Feature("tools and calls that are told in text"),
    "include": Feature("optional output asked for by name"),
    "instructions": Feature("instructions in the middle of a conversation", "emulate"),
    "instructions.top": Feature("which instructions stood at the top"),
    "logprobs": Feature("log probabilities"),
    "max_tokens": Feature("the limit of generated tokens", "emulate"),
    "media.audio": Feature("audio input", hard=True),
    "media.detail": Feature("the resolution at which a medium is read"),
    "media.document": Feature("a document", hard=True),
    "media.file": Feature("a file stored at one vendor", hard=True),
    "media.image": Feature("an image", hard=True),
    "media.meta": Feature("facts beside a medium"),
    "media.url": Feature("a medium that the target cannot fetch", hard=True),
    "media.video": Feature("a film", hard=True),
    "message.boundary": Feature("where one turn ends and the next begins"),
    "message.empty": Feature("a turn or text without content", "emulate"),
    "message.order": Feature("turns in an order the target rejects", "emulate"),
    "message.prefill": Feature("a last turn that is the assistant's", "emulate"),
    "metadata": Feature("labels for the caller's own use"),
    "modalities": Feature("kinds of output asked for"),
    "opaque": Feature("a part or event of one dialect only"),
    "output.format": Feature("the shape of the answer", "emulate"),
    "parallel": Feature("whether several calls may come at once"),
    "part.boundary": Feature("where one part ends and the next begins"),
    "part.id": Feature("the native name of a part"),
    "part.incomplete": Feature("that a part broke off"),
    "part.order": Feature("the order of the parts"),
    "phase": Feature("commentary or final answer"),
    "prediction": Feature("predicted output"),
    "reasoning.budget": Feature("a budget of thinking tokens", "emulate"),
    "reasoning.effort": Feature("how hard to think", "emulate"),
    "reasoning.mode": Feature("thinking on or off", "emulate"),
    "reasoning.segments": Feature("the segments of a thought", "emulate"),
    "reasoning.show": Feature("how much thinking is shown"),
    "reasoning.signature": Feature("the proof or encrypted state of a thought"),
    "reasoning.text": Feature("thinking text"),
    "refusal": Feature("a refusal told apart from text", "emulate"),
    "sampling": Feature("how tokens are drawn"),
    "schema": Feature("a keyword of a JSON schema", "emulate"),
    "service_tier": Feature("the tier of service", "emulate"),
    "state": Feature("state kept by one server", hard=True),
    "stop": Feature("stop sequences", "emulate"),
    "stop_detail": Feature("why a safety system stopped"),
    "stop_reason": Feature("why an answer ended"),
    "stop_sequence": Feature("which stop sequence was met"),
    "store": Feature("whether the server keeps the answer"),
    "tool.choice": Feature("which tools may be called", "emulate"),
    "tool.custom": Feature("a tool with free text as input", "emulate"),
    "tool.description": Feature("what a tool is for", "emulate"),
    "tool.name": Feature("a tool's name", "emulate"),
    "tool.opaque": Feature("a tool of one dialect only", hard=True),
    "tool.server": Feature("a tool that the server runs", hard=True),
    "tool.server_part": Feature("a call that the server ran, or its result"),
    "tool.strict": Feature("strict adherence to a schema"),
    "tool_result.error": Feature("that a tool failed", "emulate"),
    "tool_result.media": Feature("media in a tool's result", "emulate"),
    "tool_result.orphan": Feature("a result without its call", hard=True),
    "truncation": Feature("what to do when the context is full"),
    "usage": Feature("a token count"),
    "user": Feature("the end user's identity"),
    "verbosity": Feature("how long the answer should be"),
}
"""Every feature a `Loss` can name."""


class LossRecorder:
    """Collects the losses of one translation and applies the policy.

    Args:
        policy: Feature to `drop`, `emulate` or `refuse`; the rest by `FEATURES`.
        on_loss: `refuse` turns every drop of a request into a refusal.
        response: Losses of responses are always recorded, never refused.

    Raises:
        LocalProtocolError: `policy` names an unknown feature.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        on_loss: OnLoss = "record",
        *,
        response: bool = False,
    ) -> None:
        if policy:
            _check(policy)
        self._policy: Policy = policy or {}
        self._refusing = on_loss == "refuse"
        self._response = response
        self._losses: dict[tuple[str, str, LossAction], str] = {}
        """Path, feature and action -> the reason that was told first."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was recorded so far, in order, each once."""
        return tuple(
            [
                Loss(path=path, feature=feature, action=action, reason=reason)
                for (path, feature, action), reason in self._losses.items()
            ]
        )

    def choice(self, feature: str) -> PolicyChoice:
        """What the policy wants for `feature`."""
        return self._policy.get(feature, FEATURES[feature].default)

    def emulates(self, feature: str) -> bool:
        """Whether `feature` may be approximated by other means."""
        return self.choice(feature) == "emulate"

    def drop(self, feature: str, path: str, reason: str) -> None:
        """`path` is left out.

        Raises:
            UnsupportedFeature: The policy, or a hard feature, forbids it.
        """
        if self._response:
            self._losses.setdefault((path, feature, "dropped"), reason)
            return
        chosen = self._policy.get(feature)
        hard = chosen is None and FEATURES[feature].hard
        refused = chosen == "refuse" or hard or self._refusing
        self._add(feature, path, "dropped", reason, refused)

    def approximate(self, feature: str, path: str, reason: str) -> None:
        """`path` is said with another value. Raises like `emulate`."""
        refused = self._policy.get(feature) == "refuse"
        self._add(feature, path, "approximated", reason, refused)

    def emulate(self, feature: str, path: str, reason: str) -> None:
        """`path` is done by other means.

        Raises:
            UnsupportedFeature: The policy for `feature` is to refuse.
        """
        refused = self._policy.get(feature) == "refuse"
        self._add(feature, path, "emulated", reason, refused)

    def default(self, feature: str, path: str, reason: str) -> None:
        """`path` was not given and the target needs it. Raises like `emulate`."""
        refused = self._policy.get(feature) == "refuse"
        self._add(feature, path, "defaulted", reason, refused)

    def drop_extras(self, extras: Extras | None, path: str) -> None:
        """One loss per member of `extras` (nulls and our own notes say nothing).

        `path` is that of the node: `messages[0]`, "" for the root.
        """
        if not extras:
            return
        for key, value in extras.items():
            if key[:1] != "@" and bytes(value) != b"null":
                place = f"{path}.extras[{key}]" if path else f"extras[{key}]"
                self.drop("extras", place, "not a member of the target's dialect")

    def _add(
        self, feature: str, path: str, action: LossAction, reason: str, refused: bool
    ) -> None:
        if refused and not self._response:
            raise UnsupportedFeature(
                Loss(path=path, feature=feature, action="refused", reason=reason)
            )
        self._losses.setdefault((path, feature, action), reason)


def _check(policy: Policy) -> None:
    for name in policy:
        if name not in FEATURES:
            raise LocalProtocolError(f"policy names unknown feature `{name}`")
    for name, choice in policy.items():
        if choice not in get_args(PolicyChoice):
            what = f"policy for `{name}` is `{choice}`: drop, emulate or refuse"
            raise LocalProtocolError(what)
