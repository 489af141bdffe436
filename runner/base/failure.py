"""What is told of an exception that a part of somebody's has raised."""

import traceback


def summary(error: BaseException) -> str:
    """The exception in a line: its class, and the first line of what it says."""
    named = f"{type(error).__name__}:"
    said = traceback.format_exception_only(error)  # a SyntaxError begins with where it is
    line = next((text for text in said if named in text.partition("\n")[0]), said[0])
    return line.strip().partition("\n")[0]


def said(error: BaseException) -> str:
    """What the exception says; in its place what it is, where it says nothing that would do."""
    text = str(error).strip() if isinstance(error, Exception) else ""  # of sys.exit(0): a number
    return text or summary(error)


def whole(error: BaseException) -> str:
    """The traceback."""
    return "".join(traceback.format_exception(error))
