"""What may go wrong while journals are published, and what is told of it."""

import re
from dataclasses import dataclass, field

import sqlalchemy as sa


@dataclass
class PublishingReport:
    """What became of the runs in the journals."""

    published: int = 0
    why: str = ""
    """Why some are not published; empty if all are."""
    damaged: list[str] = field(default_factory=list)
    """Journals of which only the beginning could be read: which, and up to where."""
    deleted: int = 0
    """Runs that somebody deleted in MLflow before they were there in full."""
    left: int = 0
    """Runs from before that the store does not take."""


def is_for_good(error: Exception) -> bool:
    """Whether it is what is written that is wrong, and no other attempt would go better."""
    wrong = (TypeError, ValueError, OverflowError, sa.exc.DataError)
    causes = error, getattr(error, "orig", None)
    return any(isinstance(one, wrong) for one in causes) and not isinstance(error, OSError)


def brief(error: Exception, uri: str) -> str:
    """The error in a line: a driver's first, or what a server's name and port have answered."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "Max retries exceeded" in lines[0]:  # with an address and objects that tell a person little
        found = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(timed out)", lines[0])
        why = f" ({found[1] or found[2]})" if found else ""
        return f"no answer from {uri}{why}"
    return lines[0][:300]
