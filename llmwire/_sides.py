"""Who is read from and who is written for, given the context of a request."""

from __future__ import annotations

from llmwire import profiles
from llmwire.context import Context
from llmwire.dialects import Dialect, ReplyTarget, ResponseSource
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.profiles import Profile

NO_LIMITS = Limits()


def response_source(
    dialect: Dialect,
    context: Context | None,
    *,
    profile: str | Profile | None = None,
    seed: str = "",
    limits: Limits = NO_LIMITS,
) -> ResponseSource:
    """From whom an answer is read, given the context of its request."""
    if context is not None and context.target == dialect.name and profile is None:
        facts, model, tag = context.profile, context.upstream_model, context.tag
    else:
        facts = profiles.resolve(dialect.name, profile or dialect.profile)
        model = tag = None
    return ResponseSource(profile=facts, limits=limits, seed=seed, model=model, tag=tag)


def reply_target(
    dialect: Dialect,
    context: Context | None,
    losses: LossRecorder,
    *,
    created: float | None = None,
    seed: str = "",
    model: str | None = None,
    framing: str | None = None,
    limits: Limits = NO_LIMITS,
) -> ReplyTarget:
    """For whom an answer is written, given the context of its request."""
    known = context is not None and context.source == dialect.name
    return ReplyTarget(
        losses=losses,
        profile=profiles.resolve(dialect.name, dialect.profile),
        seed=seed,
        created=None if created is None else float(created),
        model=model,
        framing=framing or dialect.framings[0],
        include_usage=context.include_usage if known and context else True,
        echo=context.echo if known and context else None,
        limits=limits,
    )
