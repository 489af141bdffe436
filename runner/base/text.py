"""Text that is read or shown: what number it is, and how it fits into a line."""


def number_of(text: str) -> float | None:
    """Return the number that the text is, which may be NaN or infinite; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None
