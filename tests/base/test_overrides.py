"""Words that change a config, taken apart."""

import pytest

from runner.base.overrides import key_of, keys_with_value, parse, without_tracking


@pytest.mark.parametrize(
    ("word", "parts", "top"),
    [
        ("lr=0.1", ("", "lr", "0.1"), "lr"),
        ("+optimizer.lr=1", ("+", "optimizer.lr", "1"), "optimizer"),
        ("++x=a=b", ("++", "x", "a=b"), "x"),
        ("~model.bias", ("~", "model.bias", ""), "model"),
        ("~model.bias=true", ("~", "model.bias", "true"), "model"),
        ("grid@other.place=rates", ("", "grid@other.place", "rates"), "grid"),
        ("--multirun", ("", "--multirun", ""), "--multirun"),
        ("x=+~1", ("", "x", "+~1"), "x"),
        ("", ("", "", ""), ""),
    ],
)
def test_a_word_is_taken_apart(word, parts, top):
    """And put together again it is as it was."""
    one = parse(word)
    assert one == parts
    assert one.top == top
    assert key_of(word) == one.key
    assert one.removes == word.startswith("~")
    assert word.startswith(one.written_key)


def test_what_is_taken_out_gets_no_value():
    assert keys_with_value(["lr=0.1", "++lr=1", "~model.bias=true", "+a.b=2"]) == {"lr", "a.b"}


def test_what_is_said_of_tracking_is_left_out():
    words = ["tracking.uri=secret", "+tracking.x=1", "~tracking", "tracking=off", "lr=1", "-m"]
    assert without_tracking(words) == ["lr=1", "-m"]
