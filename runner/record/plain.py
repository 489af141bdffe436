"""Configs from a store as plain data: what JSON has, and nothing that is resolved.

A store's params are text, and its artifacts YAML. Whoever wrote them may have named code, referred
to what is elsewhere, or nested without end. So they are read here, and nowhere else: mappings whose
keys are text, lists, text, numbers, true, false and null come out, or a ConfigError. An
interpolation stays the text that it is.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from runner.errors import ConfigError

MOST_LEVELS = 32
MOST_BYTES = 2**20

Json = Any
"""A dict with text as keys, a list, a str, an int, a float, a bool or None"""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times as fast

CORE = "tag:yaml.org,2002:"
SCALARS = ("null", "bool", "int", "float", "str")

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+))"
    r"|(?P<whole>[-+]?(?:0|[1-9]\d*)(?!\w))"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<word>\w+)|(?P<mark>[][{}:,]))\s*",
    re.ASCII,
)
_WORDS = {"None": None, "True": True, "False": False}
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.ASCII)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


def of_params(params: Mapping[str, str], *, trust: bool = False) -> dict[str, Json]:
    """Return the config whose leaves these params are: see `runner.engine.identity.params`.

    `trust` lifts the limit on the size. Raises ConfigError.
    """
    _check_size(sum(len(name) + len(text) for name, text in params.items()), trust=trust)
    config: dict[str, Json] = {}
    groups = {key.partition(".")[0] for key in params if "." in key}
    for name, text in params.items():
        if name in groups:  # which option was chosen: no value of the config
            continue
        node = config
        *path, last = name.split(".")
        for part in path:
            inner = node.setdefault(part, {})
            node = inner if isinstance(inner, dict) else {}  # not ours: a value and a group in one
        node[last] = of_text(text)
    _check(config, 1)
    return config


def of_text(text: str) -> Json:
    """Return the value that Python writes so, or the text itself where that is not plain data."""
    try:
        value, end = _literal(text, 0, 1)
    except ValueError:
        return text
    return value if end == len(text) else text


def of_yaml(content: bytes, *, trust: bool = False) -> dict[str, Json]:
    """Return the mapping that the YAML holds; an empty one if it is no YAML, or no mapping.

    `trust` lifts the limit on the size. Raises ConfigError for what is no plain data.
    """
    _check_size(len(content), trust=trust)
    try:
        events = yaml.parse(content, Loader=LOADER)
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                value = _node(event, events, 1)
                break
        else:
            return {}
        for _ in events:  # to its end, where it may be no YAML after all
            pass
    except (yaml.YAMLError, UnicodeError):  # a foreign file of that name
        return {}
    return value if isinstance(value, dict) else {}


def of_json(content: Mapping[str, Json]) -> dict[str, Json]:
    """Return the config that was JSON. Raises ConfigError for one too large or too deep."""
    config = dict(content)
    _check(config, 1)
    _check_size(len(json.dumps(config)), trust=False)
    return config


def _check(value: Json, level: int) -> None:
    _check_level(level)
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _not_plain(f"a key is {type(key).__name__}, not text")
            _check(inner, level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, level + 1)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise _not_plain(f"it holds a {type(value).__name__}")


def _check_size(size: int, *, trust: bool) -> None:
    if size > MOST_BYTES and not trust:
        raise _not_plain(f"it has {size:,} bytes, and {MOST_BYTES:,} are allowed")


def _check_level(level: int) -> None:
    if level > MOST_LEVELS:
        raise _not_plain(f"it is nested more than {MOST_LEVELS} levels deep")


def _not_plain(why: str) -> ConfigError:
    return ConfigError(f"the run's config is not plain data: {why}")


# --- Python's literals, as str() writes them ---


def _literal(text: str, at: int, level: int) -> tuple[Json, int]:
    """Return the value that begins there, and where it ends. Raises ValueError."""
    token = _TOKEN.match(text, at)
    if token is None or level > MOST_LEVELS:
        raise ValueError
    kind, word, end = token.lastgroup, token[token.lastgroup or 0], token.end()
    if kind == "number":
        return float(word), end
    if kind == "whole":
        return int(word), end
    if kind == "text":
        return _unquoted(word), end
    if word in _WORDS:
        return _WORDS[word], end
    if word == "[":
        return _list(text, end, level)
    if word == "{":
        return _dict(text, end, level)
    raise ValueError


def _list(text: str, at: int, level: int) -> tuple[list[Json], int]:
    values: list[Json] = []
    if (end := _mark(text, at, "]")) is not None:
        return values, end
    while True:
        value, at = _literal(text, at, level + 1)
        values.append(value)
        if (end := _mark(text, at, "]")) is not None:
            return values, end
        at = _needed(text, at, ",")


def _dict(text: str, at: int, level: int) -> tuple[dict[str, Json], int]:
    values: dict[str, Json] = {}
    if (end := _mark(text, at, "}")) is not None:
        return values, end
    while True:
        key, at = _literal(text, at, level + 1)
        if not isinstance(key, str):
            raise ValueError
        values[key], at = _literal(text, _needed(text, at, ":"), level + 1)
        if (end := _mark(text, at, "}")) is not None:
            return values, end
        at = _needed(text, at, ",")


def _mark(text: str, at: int, mark: str) -> int | None:
    token = _TOKEN.match(text, at)
    return token.end() if token is not None and token["mark"] == mark else None


def _needed(text: str, at: int, mark: str) -> int:
    if (end := _mark(text, at, mark)) is None:
        raise ValueError
    return end


def _unquoted(text: str) -> str:
    """Return the text that the literal stands for. Raises ValueError for an unknown escape."""

    def character(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2] or escape[3]
        if code:
            return chr(int(code, 16))
        if escape[4] not in _ESCAPED:
            raise ValueError
        return _ESCAPED[escape[4]]

    return _ESCAPE.sub(character, text[1:-1])


# --- YAML, event by event, so that nothing is built that is refused ---


def _node(event: Any, events: Any, level: int) -> Json:
    """Return the value that begins with this event. Raises ConfigError."""
    _check_level(level)
    if isinstance(event, yaml.AliasEvent):
        raise _not_plain(f"*{event.anchor} is an alias")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
    if event.tag not in (None, "!", CORE + kind):
        raise _not_plain(f"{event.tag} is a type of YAML's own")
    if kind == "seq":
        values: list[Json] = []
        while not isinstance(inner := next(events), yaml.SequenceEndEvent):
            values.append(_node(inner, events, level + 1))
        return values
    mapping: dict[str, Json] = {}
    while not isinstance(inner := next(events), yaml.MappingEndEvent):
        key = _node(inner, events, level + 1)
        if not isinstance(key, str):
            raise _not_plain(f"a key is {type(key).__name__}, not text")
        mapping[key] = _node(next(events), events, level + 1)
    return mapping


def _scalar(event: Any) -> Json:
    """Return the number, the text, or what else of JSON's the scalar is. Raises ConfigError."""
    tag = event.tag if event.tag not in (None, "!") else None
    if tag is None and event.implicit[0]:
        resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(event.value[:1], [])
        tag = next((name for name, pattern in resolvers if pattern.match(event.value)), None)
        if tag is not None and tag.removeprefix(CORE) not in SCALARS:
            tag = None  # a date, say, is text
    if tag is None or tag == f"{CORE}str":
        return str(event.value)
    kind = tag.removeprefix(CORE)
    if kind not in SCALARS:
        raise _not_plain(f"{tag} is a type of YAML's own")
    make = getattr(yaml.constructor.SafeConstructor(), f"construct_yaml_{kind}")
    try:
        return make(yaml.ScalarNode(tag, event.value))
    except (ValueError, KeyError, IndexError) as error:
        raise _not_plain(f"{event.value[:40]!r} is no {kind}") from error
