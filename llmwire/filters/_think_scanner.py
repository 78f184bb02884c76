"""Where thoughts begin and end in a text that comes in pieces.

Knows text and tags; nothing of events. The pieces that it gives are the text that came
in, in order and without a gap: each says what it is.

Rules (the numbers are those of `docs/filters/think.md`):
1. A thought opens with a tag at the beginning of the text, white space aside, or behind
   the end of another thought; or implicitly at the beginning, if that was said.
2. It ends at the first closing tag of its pair, wherever that stands, at the first
   opener of a tool call, if any were given, or with the text: then it is unfinished.
3. A closing tag without an opening is text. With `retroactive` that many characters are
   held back at the beginning, and a closing tag among them makes a thought of what
   stands before it, unless a call does.
4. With `trim` the line feed behind an opening tag, the one before a closing tag, two
   behind it, and an opening tag that is said again belong to the tags.
5. White space that stands alone is no content.
6. Held back are at most `PATIENCE` characters of white space and one tag that is not
   whole, `ATTRIBUTES` more where tags have attributes, and `retroactive`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, TypeAlias

from llmwire.filters._match import Words
from llmwire.filters._think_rules import TagFinder, ThinkRules, fold
from llmwire.filters._think_tags import ThinkTags

PATIENCE: Final = 256
"""White space that may stand before a tag, or as a thought."""
_STEP: Final = 4096
"""Characters that are looked at together, so that what is left is copied rarely."""


class Kind(Enum):
    """What a piece of the text is."""

    OPEN = "open"
    """The tag before a thought that has content; empty if there is none."""
    THOUGHT = "thought"
    CLOSE = "close"
    """The tag behind it."""
    CALL = "call"
    """Nothing: a tool call ends the thought."""
    BREAK = "break"
    """Nothing: the text ends inside the thought."""
    TEXT = "text"
    MARK = "mark"
    """Neither thought nor text: tags and white space without content."""


Piece: TypeAlias = tuple[Kind, str]


class Phase(Enum):
    """Where the text is."""

    LOOKING = "looking"
    HOLDING = "holding"
    THINKING = "thinking"
    TALKING = "talking"


class ThoughtScanner:
    """Follows one text.

    Args:
        rules: What is looked for.
        implicit: The text begins inside a thought.
        first: Nothing was said before it: `ThinkRules.retroactive` holds.
    """

    __slots__ = (
        "_closes",
        "_finder",
        "_holding",
        "_implicit",
        "_rules",
        "_said",
        "_seen",
        "_tag",
        "_tags",
        "_tail",
        "_watch",
        "fresh",
        "phase",
        "text",
        "unpaired",
    )

    def __init__(
        self, rules: ThinkRules, *, implicit: bool = False, first: bool = True
    ) -> None:
        self._rules = rules
        self._closes = rules.closings.begins
        self._implicit = implicit
        self._holding = rules.retroactive if first else 0
        self.phase = Phase.LOOKING
        self.fresh = True
        """No thought was found yet."""
        self.unpaired: int | None = None
        """Where a closing tag without an opening stands."""
        self.text = ""
        """What is held and not the finder's."""
        self._finder: TagFinder | None = None
        self._watch: TagFinder | None = None
        """Looks for a closing tag in the text, which holds nothing back."""
        self._seen = 0
        """Characters before what `_watch` holds."""
        self._tags: ThinkTags | None = None
        self._tag = ""
        """The opening tag of a thought that has no content yet."""
        self._said = False
        """The thought has content."""
        self._tail = ""
        """A line feed at the end of the thought so far, which may be the tag's."""

    @property
    def held(self) -> int:
        """Characters held back now."""
        finder = len(self._finder.held) if self._finder else 0
        return len(self.text) + len(self._tag) + len(self._tail) + finder

    @property
    def idle(self) -> bool:
        """All that still comes is text."""
        talking = self.phase is Phase.TALKING
        return talking and self._finder is None and self._watch is None

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the text: what is certain now."""
        due: list[Piece] = []
        for at in range(0, len(text), _STEP):
            rest = text[at : at + _STEP]
            while rest:
                rest = _ADVANCE[self.phase](self, rest, due)
        return due

    def passes(self, text: str) -> bool:
        """As `overhear`, if nothing in `text` could be a tag."""
        watch = self._watch
        if watch is None or watch.held or self._closes(text):
            return False
        self._seen += len(text)
        return True

    def overhear(self, text: str) -> None:
        """As `feed`, once it is a text without thoughts."""
        if not self.passes(text):
            self._look_on(text)

    def is_thought(self, text: str) -> bool:
        """Whether `text` goes on with the thought, so that it need not be fed."""
        if not self._said or self._tail or self.phase is not Phase.THINKING:
            return False
        ends = self._rules.trim and text.endswith("\n")
        return not ends and self._held_by().passes(text)

    def finish_thoughts(self) -> list[Piece]:
        """The text has ended: all that is held of thoughts."""
        due: list[Piece] = []
        if self.phase is Phase.LOOKING and self.text.strip():
            self._advance(self._untagged(), due)
        while self.phase in (Phase.THINKING, Phase.HOLDING):
            self._finish_thought(due)
        return due

    def finish(self, *, keep: bool = False) -> list[Piece]:
        """The text has ended: all that is held.

        Args:
            keep: White space behind the last thought is text.
        """
        due = self.finish_thoughts()
        if self.phase is Phase.TALKING:
            self._finish_text(due)
        elif self.fresh or keep or self.text.strip():
            self._talk(due)
        else:
            _give(due, Kind.MARK, self.text)
            self.text = ""
        return due

    def settle(self) -> list[Piece]:
        """Whatever could still become a thought is text."""
        due: list[Piece] = []
        if self.phase is Phase.HOLDING:
            self.text += self._held_by().held
            self._talk(due)
        elif self.phase is Phase.LOOKING:
            self._talk(due)
        return due

    def speak_up(self) -> list[Piece]:
        """The thought that is open has content, whatever it is."""
        due: list[Piece] = []
        if self.phase is Phase.THINKING and not self._said:
            self._begin(due)
        return due

    def _advance(self, text: str, due: list[Piece]) -> None:
        while text:
            text = _ADVANCE[self.phase](self, text, due)

    def _look(self, piece: str, due: list[Piece]) -> str:
        """Go on until it is a thought or a text; what is left belongs to that."""
        self.text += piece
        bare = self.text.lstrip()
        blank = len(self.text) - len(bare)
        if blank <= PATIENCE:
            opening, size = self._rules.match(bare)
            if size is None:
                return ""
            if opening is not None:
                tag = self.text[: blank + size]
                if opening.answer:
                    self._answer(tag, opening.tags, due)
                else:
                    self._enter(tag, opening.tags)
                return bare[size:]
        held = self._untagged()
        if not held:
            self._talk(due)
        return held

    def _untagged(self) -> str:
        """No tag opens: give back what is held if it may be a thought all the same."""
        held = self.text
        if self._implicit:
            self._enter("", None)
            return held
        if self._holding and self.fresh:
            self.phase = Phase.HOLDING
            self._finder = self._rules.finder(None)
            self.text = ""
            return held
        return ""

    def _hold(self, piece: str, due: list[Piece]) -> str:
        """Go on until a closing tag says that all of it was a thought."""
        finder = self._held_by()
        room = self._holding - len(self.text) - len(finder.held)
        clear, word, rest = finder.feed(piece[:room])
        self.text += clear
        if word is not None:
            return self._found(word, due) + rest + piece[room:]
        return piece[room:] if len(piece) < room else self._release(due) + piece[room:]

    def _held_by(self) -> TagFinder:
        assert self._finder is not None, "a phase that looks for a tag"
        return self._finder

    def _found(self, word: str, due: list[Piece]) -> str:
        """What was held is a thought that `word` ends, or the text before a call."""
        if self._rules.is_tool(word, None):
            self._talk(due)
            return word
        held = self.text
        self._enter("", None)
        self._grow(held, due)
        self._close(word, due)
        return ""

    def _release(self, due: list[Piece]) -> str:
        """No more is held back; what is given back stands behind it."""
        clear, word, rest = self._held_by().finish()
        self.text += clear
        if word is not None:
            return self._found(word, due) + rest
        self._talk(due)
        return rest

    def _enter(self, tag: str, tags: ThinkTags | None) -> None:
        """A thought begins; it is given once there is anything in it."""
        self.phase = Phase.THINKING
        self._finder = self._rules.finder(tags)
        self._tags, self._tag = tags, tag
        self._said = self.fresh = self._implicit = False
        self._tail = self.text = ""

    def _think(self, piece: str, due: list[Piece]) -> str:
        """Go on until the thought ends; what is left stands behind it."""
        clear, word, rest = self._held_by().feed(piece)
        self._grow(clear, due)
        if word is None:
            return rest
        return self._end(word, due) + rest

    def _end(self, word: str, due: list[Piece]) -> str:
        """`word` ends the thought; it is given back if it is no tag."""
        if not self._rules.is_tool(word, self._tags):
            self._close(word, due)
            return ""
        tags = self._tags
        self._close("", due, Kind.CALL)
        self.phase = Phase.TALKING
        row = self._rules.closings if tags is None else Words(_folded(tags))
        self._finder = TagFinder(row, ignore_case=bool(tags and tags.ignore_case))
        return word

    def _grow(self, clear: str, due: list[Piece]) -> None:
        """The thought goes on; it begins with the first that is no white space."""
        if self._said:
            self._add(clear, due)
            return
        self.text += clear
        if len(self.text) <= PATIENCE and not self.text.strip():
            return
        if self._rules.trim and self._opens_again(due):
            return
        self._begin(due)

    def _opens_again(self, due: list[Piece]) -> bool:
        """Whether what is held is an opening tag said again, or its beginning."""
        while True:
            bare = self.text.lstrip()
            blank = len(self.text) - len(bare)
            opening, size = self._rules.match(bare)
            if blank > PATIENCE:
                return False
            if size is None:
                return True
            if opening is None or opening.answer or opening.tags != self._tags:
                return False
            _give(due, Kind.MARK, self._tag)
            self._tag = self.text[: blank + size]
            self.text = bare[size:]
            if len(self.text) <= PATIENCE and not self.text.strip():
                return True

    def _begin(self, due: list[Piece]) -> None:
        tag, held = self._tag, self.text
        self._tag = self.text = ""
        if self._rules.trim and held.startswith("\n"):
            tag, held = tag + "\n", held[1:]
        due.append((Kind.OPEN, tag))
        self._said = True
        self._add(held, due)

    def _add(self, text: str, due: list[Piece]) -> None:
        text = self._tail + text
        self._tail = "\n" if self._rules.trim and text.endswith("\n") else ""
        _give(due, Kind.THOUGHT, text[: len(text) - len(self._tail)])

    def _close(self, word: str, due: list[Piece], kind: Kind = Kind.CLOSE) -> None:
        """The thought is over; what is behind it may be another."""
        if not self._said and self.text.strip():
            self._begin(due)
        if not self._said:
            _give(due, Kind.MARK, self._tag + self.text + word)
        elif kind is Kind.CLOSE:
            due.append((kind, self._tail + word))
        else:
            _give(due, Kind.THOUGHT, self._tail)
            due.append((kind, ""))
        self.phase = Phase.LOOKING
        self._finder = None
        self.text = self._tag = self._tail = ""

    def _finish_thought(self, due: list[Piece]) -> None:
        if self.phase is Phase.HOLDING:
            self._advance(self._release(due), due)
            return
        clear, word, rest = self._held_by().finish()
        self._grow(clear, due)
        if word is None:
            self._close("", due, Kind.BREAK)
        else:
            self._advance(self._end(word, due) + rest, due)

    def _answer(self, tag: str, tags: ThinkTags, due: list[Piece]) -> None:
        """The answer begins; it may have a mark at its end."""
        self.phase = Phase.TALKING
        self.fresh = self._implicit = False
        self.text = ""
        _give(due, Kind.MARK, tag)
        self._finder = TagFinder(Words(tags.answer_ends)) if tags.answer_ends else None

    def _talk(self, due: list[Piece]) -> None:
        """What is held is text, and all that still comes."""
        self.phase = Phase.TALKING
        self._implicit = False
        self._finder = None
        held, self.text = self.text, ""
        if self.fresh:
            self._watch = TagFinder(self._rules.closings)
            self._look_on(held)
        elif self._rules.trim:
            framing = len(held[:2]) - len(held[:2].lstrip("\n"))
            _give(due, Kind.MARK, held[:framing])
            held = held[framing:]
        _give(due, Kind.TEXT, held)

    def _say(self, piece: str, due: list[Piece]) -> str:
        """Text, but for a mark that is due in it once."""
        if self._finder is None:
            if self._watch is not None:
                self._look_on(piece)
            due.append((Kind.TEXT, piece))
            return ""
        clear, word, rest = self._finder.feed(piece)
        _give(due, Kind.TEXT, clear)
        if word is not None:
            due.append((Kind.MARK, word))
            self._finder = None
        return rest

    def _look_on(self, text: str) -> None:
        """Note the first closing tag, which has no opening."""
        assert self._watch is not None, "only texts without a thought are watched"
        clear, word, _ = self._watch.feed(text)
        self._seen += len(clear)
        if word is not None:
            self.unpaired = self._seen
            self._watch = None

    def _finish_text(self, due: list[Piece]) -> None:
        if self._watch is not None:
            clear, word, _ = self._watch.finish()
            if word is not None:
                self.unpaired = self._seen + len(clear)
            self._watch = None
        if self._finder is not None:
            clear, word, rest = self._finder.finish()
            _give(due, Kind.TEXT, clear)
            _give(due, Kind.MARK, word or "")
            _give(due, Kind.TEXT, rest)
            self._finder = None


def _folded(tags: ThinkTags) -> Iterable[str]:
    return map(fold, tags.closings) if tags.ignore_case else tags.closings


def _give(due: list[Piece], kind: Kind, text: str) -> None:
    if text:
        due.append((kind, text))


_ADVANCE: Final[dict[Phase, Callable[[ThoughtScanner, str, list[Piece]], str]]] = {
    Phase.LOOKING: ThoughtScanner._look,
    Phase.HOLDING: ThoughtScanner._hold,
    Phase.THINKING: ThoughtScanner._think,
    Phase.TALKING: ThoughtScanner._say,
}
