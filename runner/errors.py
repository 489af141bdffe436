"""Every exception of this package: one tree, and each says all that a person has to read.

RunnerError
├── ConfigError             a config that cannot run
│   ├── NotTrained          a loss or an objective with parameters of its own
│   └── NoForm              a model or a loss without a form by hand
├── BadValue                a value that a part refuses
├── NotFound                no run, or several, for what was typed
├── SourceError             a place of runs that cannot be read
├── JournalError            a journal that cannot be written or read
│   └── JournalUnavailable  one that cannot be read now
├── Unreadable              a damaged checkpoint
└── NoPort                  a server that cannot be started
"""

import re
from collections.abc import Iterable

# All controls but tab and line feed, what turns the direction of reading, and halves of characters.
_CONTROLS = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    """Return the text with control characters as Python writes them: a terminal obeys none."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class RunnerError(Exception):
    """Something that was typed, or is there, cannot be carried out; the text says what and why.

    It is raised with a message, or with the key that the message is about and the rest of it:
    `ConfigError("lr", expected="a number above 0", got="-1")` reads `lr: expected a number above 0,
    got -1`. Code that has to know what went wrong asks the fields, never the text.
    """

    key: str
    """What it is about: a key of the config, `optimizer.lr`; empty where it is about no one key"""
    expected: str
    """What would be right, in words; empty where the message says it otherwise"""
    got: str
    """What came instead, as it is shown"""
    hint: str
    """What to do"""

    def __init__(
        self, *texts: object, expected: str = "", got: object = "", hint: str = ""
    ) -> None:
        if expected:
            texts = (*texts, f"expected {expected}, got {got}")
        message = ": ".join(map(str, texts))
        super().__init__(f"{message}; {hint}" if hint else message)
        self.key = str(texts[0]) if len(texts) > 1 else ""
        self.expected, self.got, self.hint = expected, str(got), hint

    @property
    def problem(self) -> str:
        """The message without the key."""
        return str(self).removeprefix(f"{self.key}: ") if self.key else str(self)


class ConfigError(RunnerError):
    """What is wrong in a config, where, and what would do."""

    @classmethod
    def about(cls, key: str, error: "BadValue") -> "ConfigError":
        """Return what a part has refused, as said of that key of the config."""
        made = cls(key, error.problem)
        made.expected, made.got, made.hint = error.expected, error.got, error.hint
        return made

    def __str__(self) -> str:
        return escaped(super().__str__())


class NotTrained(ConfigError):
    """A loss or an objective has something to learn itself."""


class NoForm(ConfigError):
    """A model or a loss that has no form by hand."""


class BadValue(RunnerError, ValueError):
    """A value that a part of this package refuses; `key` is the part's own name for it."""


class NotFound(RunnerError):
    """No run, or several, for what was typed; what would do."""


class SourceError(RunnerError):
    """A place where runs are kept that cannot be read."""


class JournalError(RunnerError):
    """A journal that cannot be written or, from some record on, not be read."""


class JournalUnavailable(JournalError):
    """It cannot be read now, and perhaps later: the disk is full, say. It is not damaged."""


class Unreadable(RunnerError):
    """A checkpoint that is damaged, or that holds what is no plain data."""


class NoPort(RunnerError):
    """A server that cannot be started, and why."""


class GivenUp(RunnerError):
    """The store gave no answer for too long; what it has not got stays in the journals."""


class JournalGone(GivenUp):
    """A journal was deleted, or its folder moved, while it was being published."""


class RunsRefused(RunnerError):
    """Runs that the store will not take, however often they are tried, each with the reason.

    Those in `deleted` it has had, and somebody deleted them there: nothing is left to do for them.
    """

    def __init__(self, reasons: dict[str, str], deleted: Iterable[str] = ()) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons
        self.deleted = frozenset(deleted)


class ProcessEnded(RunnerError):
    """A process of the pool has ended instead of answering; how."""
