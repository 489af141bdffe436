"""How parameters are updated: by a rule by hand, or by an optimizer with what it takes."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from runner import optimizer as rules
from runner.config.build import build, known_as, swapped
from runner.config.schema import Values
from runner.engine.program import CONSTANT
from runner.engine.setup import Setup
from runner.errors import ConfigError
from runner.optimizer import Clip, clip_by_norm, clip_by_value, clipped

OWN = ("groups", "takes", "by_hand")
"""Keys of an optimizer's node that are not its class's."""

GIVEN = ("parameters", "named_parameters", "module", "steps", "epochs")
"""What a class may take under a name of its own."""

SWITCHES = ("closure", "create_graph")

ADVICE = (
    "what it wants beside its parameters, optimizer.takes says (closure, create_graph, or under "
    f"its own keyword {', '.join(GIVEN[1:])}), and marks of its groups optimizer.groups"
)


def by_hand(of: Setup) -> rules.Update:
    """The update rule, of clipped gradients where they are. Raises ConfigError."""
    if kept := [key for key in ("groups", "takes") if of.optimizer.get(key)]:
        raise ConfigError(
            f"optimizer.{kept[0]}: is for an optimizer of PyTorch's, not for updates by hand: "
            "gradient=autograd with optimizer=sgd, say"
        )
    update = build("optimizer", swapped(without_own(of.optimizer), rules.BY_HAND))
    if not callable(update):
        raise ConfigError("optimizer", expected="a rule (w, gradient, state, lr)", got=repr(update))
    _check_rule(update, of)
    return clipped(update, clip_by_hand(of.clip, of.clip_value))


def clip_by_hand(norm: Any, value: Any) -> Clip | None:
    """What gradients go through; None where that is nothing."""
    if norm is not None:
        return clip_by_norm(norm)
    return None if value is None else clip_by_value(value)


def without_own(node: Values) -> Values:
    """The node with what its class takes."""
    return {key: value for key, value in node.items() if key not in OWN}


def _check_rule(update: Any, of: Setup) -> None:
    """Refuse a rule of somebody's that does not take a schedule's learning rate."""
    arguments: tuple[None, ...] = (None,) * (3 if of.schedule["_target_"] == CONSTANT else 4)
    try:
        inspect.signature(update).bind(*arguments)
    except TypeError as error:
        taken = "(w, gradient, state, lr), lr with a default"
        raise ConfigError("optimizer", f"expected a rule of {taken}: {error}") from error


class Takes(NamedTuple):
    """What an optimizer wants beside its parameters."""

    closure: bool | None
    """None: what its step says"""
    create_graph: bool
    marks: Sequence[str]
    """Keys of its groups that are not hyperparameters"""
    given: Mapping[str, str]
    """By keyword, one of GIVEN"""


def takes(node: Values) -> Takes:
    """From `optimizer.takes`. Raises ConfigError."""
    told = node.get("takes") or {}
    if not isinstance(told, Mapping):
        raise ConfigError("optimizer.takes", f"expected a mapping, got {told!r}; {ADVICE}")
    for key in SWITCHES:
        if not isinstance(told.get(key, False), bool):
            raise ConfigError(
                f"optimizer.takes.{key}", expected="true or false", got=repr(told[key])
            )
    marks = told.get("marks", [])
    if not (isinstance(marks, list) and all(isinstance(mark, str) for mark in marks)):
        raise ConfigError("optimizer.takes.marks", expected="names", got=repr(marks))
    given = {key: what for key, what in told.items() if key not in (*SWITCHES, "marks")}
    for key, what in given.items():
        if what not in GIVEN:
            raise ConfigError(
                f"optimizer.takes.{key}",
                f"expected closure, create_graph or marks, or a keyword of "
                f"the class's own with one of {', '.join(GIVEN)}, got {what!r}",
            )
    return Takes(told.get("closure"), told.get("create_graph", False), marks, given)


class ParameterGroup(NamedTuple):
    """Parameters that have values of their own."""

    names: Sequence[str]
    options: Mapping[str, Any]
    frozen: bool


def groups(node: Values, names: Sequence[str]) -> list[ParameterGroup]:
    """From `optimizer.groups`: first those that no group names. Raises ConfigError."""
    told = node.get("groups") or []
    if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
        raise ConfigError("optimizer.groups", "expected a list of {params: PATTERN, lr: ..., ...}")
    left, made = list(names), []
    for number, one in enumerate(told):
        where = f"optimizer.groups[{number}]"
        patterns = one.get("params")
        patterns = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(patterns, list) or not all(isinstance(text, str) for text in patterns):
            raise ConfigError(f"{where}.params", "expected a pattern of names, or a list of them")
        frozen = one.get("frozen", False)
        if not isinstance(frozen, bool):
            raise ConfigError(f"{where}.frozen", expected="true or false", got=repr(frozen))
        own = [name for name in left if any(fnmatchcase(name, text) for text in patterns)]
        if not own:
            there = ", ".join(left) or "those that are left"
            raise ConfigError(f"{where}.params", f"{', '.join(patterns)} names none of {there}")
        left = [name for name in left if name not in own]
        options = {key: value for key, value in one.items() if key not in ("params", "frozen")}
        if frozen and options:
            raise ConfigError(where, f"what is frozen has no {', '.join(options)}")
        made.append(ParameterGroup(own, options, frozen))
    rest = [ParameterGroup(left, {}, frozen=False)] if left else []
    found = [*rest, *made]
    if all(group.frozen for group in found):
        raise ConfigError("optimizer.groups", "all parameters are frozen, so nothing learns")
    return found


def by_pytorch(
    of: Setup, names: Sequence[str], parameters: Sequence[Any], network: Any = None
) -> tuple[Any, dict[str, Any]]:
    """The optimizer of parameters of these names, and how it takes its steps.

    That is keywords for `runner.engine.program.pytorch.Stepper`. Raises ConfigError.
    """
    from runner.engine import hooked, learning, trial

    hooked.without_compiler()
    node, wants, parts = of.optimizer, takes(of.optimizer), groups(of.optimizer, list(names))
    for group in parts:
        for name, parameter in zip(names, parameters, strict=True):
            if group.frozen and name in group.names:
                parameter.requires_grad_(False)

    def make(some: Sequence[Any], module: Any) -> Any:
        return _made(of, wants, parts, dict(zip(names, some, strict=True)), module)

    if not wants.given:
        for number, group in enumerate(parts):
            if group.options and not group.options.keys() & {*wants.marks}:
                where = f"optimizer.groups[{number - (not parts[0].options)}]"
                _check_values(where, node, group.options, parameters[0])
    network = network if "module" in wants.given.values() else None
    closure = trial.wants_closure(known_as(node), make, parameters, network, wants)
    made = make(parameters, network)
    _check_groups(made, parts, wants)
    learning.check_optimizer(known_as(node), made, dict(zip(names, parameters, strict=True)))
    return made, {
        "closure": closure,
        "graph": wants.create_graph,
        "clip": _clip(of.clip, of.clip_value),
    }


def _made(
    of: Setup, wants: Takes, parts: Sequence[ParameterGroup], named: Mapping[str, Any], module: Any
) -> Any:
    """The optimizer of these parameters."""
    pairs = "named_parameters" in wants.given.values()

    def listed(names: Sequence[str]) -> list[Any]:
        return [(name, named[name]) if pairs else named[name] for name in names]

    learning = [group for group in parts if not group.frozen]
    if len(learning) == 1 and not learning[0].options:
        own: Any = listed(learning[0].names)
    else:
        own = [{"params": listed(group.names), **group.options} for group in learning]
    known = {
        "parameters": own,
        "named_parameters": own,
        "module": module,
        "steps": of.most_steps,
        "epochs": of.epochs,
    }
    if module is None and "module" in wants.given.values():
        raise ConfigError("optimizer.takes", "there is a module where model=linear, say, makes one")
    given = {key: known[what] for key, what in wants.given.items()}
    by_name = {"parameters", "named_parameters", "module"} & {*wants.given.values()}
    try:
        return build("optimizer", without_own(of.optimizer), *([] if by_name else [own]), **given)
    except ConfigError as error:
        if str(of.optimizer["_target_"]).startswith("torch.optim."):
            raise
        raise ConfigError(f"{error}; {ADVICE}") from error


def _check_values(where: str, node: Values, options: Mapping[str, Any], like: Any) -> None:
    """Refuse values of a group that the class would refuse for all: it looks at no group's."""
    some = [like.detach().clone().requires_grad_()]
    try:
        build("optimizer", {**without_own(node), **options}, some)
    except ConfigError as error:
        raise ConfigError(where, f"{error}") from error


def _check_groups(made: Any, parts: Sequence[ParameterGroup], wants: Takes) -> None:
    """Refuse what a group says and the optimizer does not know: it would not heed it."""
    known = {*getattr(made, "defaults", {}), *wants.marks}
    for group in parts:
        if strange := [key for key in group.options if key not in known]:
            raise ConfigError(
                "optimizer.groups",
                f"{strange[0]} is no value of {type(made).__name__}, only "
                f"{', '.join(sorted(known))}; a mark of its own: optimizer.takes.marks",
            )


def _clip(norm: float | None, value: float | None) -> Callable[[Any], object] | None:
    """The same clipping by PyTorch."""
    from torch.nn import utils

    if norm is not None:
        return lambda parameters: utils.clip_grad_norm_(parameters, norm)
    if value is not None:
        return lambda parameters: utils.clip_grad_value_(parameters, value)
    return None
