"""What texts and numbers become, in whole and in short."""

import math

import pytest

from runner.base.text import LONGEST, beginning_of, counted, number_of, shorten


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("-7", -7.0), (" 2 ", 2.0), ("inf", math.inf), ("", None), ("sgd", None)],
)
def test_a_text_is_a_number_or_none(text, number):
    assert number_of(text) == number


def test_not_a_number_is_one():
    """It is told apart from a text that is none."""
    assert math.isnan(number_of("nan"))


@pytest.mark.parametrize("length", [0, 9, 10, 11, 400])
def test_a_text_is_shortened_to_its_room(length):
    """The dots are within it."""
    text = "x" * length
    assert shorten(text, 10) == (text if length <= 10 else "x" * 7 + "...")


def test_a_message_repeats_the_beginning():
    """And says how much it leaves out."""
    assert beginning_of("x" * LONGEST) == "x" * LONGEST
    assert beginning_of("x" * (LONGEST + 1)) == "x" * LONGEST + f"... ({LONGEST + 1} characters)"


def test_things_are_counted():
    assert [counted(n, "cell") for n in (0, 1, 2)] == ["0 cells", "1 cell", "2 cells"]
