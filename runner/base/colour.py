"""The colours that tell runs apart, the same in MLflow's charts and in reports."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Those that the colour-blind tell apart (Okabe and Ito, 2008), with grey for their yellow, which
white swallows."""


def colour(number: int) -> str:
    """That of the thing with this number; past the last they come round again."""
    return COLOURS[number % len(COLOURS)]
