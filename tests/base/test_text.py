"""What texts and numbers become, in whole and in short."""

import math

import pytest

from runner.base.text import number_of


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("-7", -7.0), (" 2 ", 2.0), ("inf", math.inf), ("", None), ("sgd", None)],
)
def test_a_text_is_a_number_or_none(text, number):
    assert number_of(text) == number


def test_not_a_number_is_one():
    """It is told apart from a text that is none."""
    assert math.isnan(number_of("nan"))
