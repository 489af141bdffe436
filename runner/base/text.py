"""Text that is read or shown: what number it is, and how it fits into a line."""

LONGEST = 200
"""Characters of what was typed that a message repeats."""


def number_of(text: str) -> float | None:
    """Return the number that the text is, which may be NaN or infinite; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def shorten(text: str, width: int) -> str:
    """Return the text, or as much of its beginning as has room in `width` with dots behind it."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def beginning_of(text: str) -> str:
    """Return the text as a message repeats it: of a long one the beginning, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing: `1 cell`, `2 cells`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
