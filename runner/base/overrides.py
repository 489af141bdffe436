"""Words that change a config, as Hydra reads them: `lr=0.1`, `+optimizer.lr=1`, `~model.bias`."""

from collections.abc import Iterable
from typing import NamedTuple


class Override(NamedTuple):
    """A word taken apart at its prefix and at its first `=`."""

    prefix: str
    """`+`, `++` or `~`; empty where the word sets what the config already has"""
    key: str
    """What it changes: `optimizer.lr`, or a group, with `@package` if it goes elsewhere"""
    value: str
    """The text after the `=`; empty where there is none"""

    @property
    def written_key(self) -> str:
        """Return the key as it was typed, its prefix included."""
        return f"{self.prefix}{self.key}"

    @property
    def top(self) -> str:
        """Return the uppermost node or the group that it changes, without a package."""
        return self.key.partition("@")[0].partition(".")[0]

    @property
    def removes(self) -> bool:
        """Return whether it takes something out of the config."""
        return self.prefix.startswith("~")


def parse(word: str) -> Override:
    """Return the parts of a word; any text has a key, if only an empty one."""
    rest = word.lstrip("+~")
    key, _, value = rest.partition("=")
    return Override(word[: len(word) - len(rest)], key, value)


def key_of(word: str) -> str:
    """Return the key that a word changes, without its prefix."""
    return parse(word).key


def keys_with_value(words: Iterable[str]) -> set[str]:
    """Return the keys to which the words give a value."""
    return {one.key for one in map(parse, words) if not one.removes}


def without_tracking(words: Iterable[str]) -> list[str]:
    """Return the words without those of tracking: a store's URI may hold a password."""
    return [word for word in words if not key_of(word).startswith("tracking")]
