"""What `runner.run`, `runner.sweep` and `runner.load` do; see them for what they promise."""

import itertools
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.base import project
from runner.base.address import fault
from runner.base.caller import call
from runner.base.console import quietly
from runner.base.overrides import keys_with_value, parse
from runner.cli import alone
from runner.cli.find import find_all
from runner.config import given
from runner.config.cell import Cell
from runner.config.instead import settled, without_replaced
from runner.config.run_name import within_sweep
from runner.config.schema import Values
from runner.config.settings import check_alone
from runner.config.words import Words, labels, short, words
from runner.device import threads_put_back
from runner.engine.check import checked
from runner.engine.isolated import isolated, plain_modes
from runner.engine.unused import refuse_unused
from runner.errors import ConfigError, NotFound
from runner.record.journals import Journals
from runner.results import Run, Sweep
from runner.sweeps import launch
from runner.sweeps.carry_out import EndedSweep, carry_out
from runner.sweeps.composing import many_cells, one_cell
from runner.tracking import background, in_process
from runner.tracking.session import Session, Settings

_one_at_a_time = threading.RLock()
"""PyTorch's random state, its switches and Hydra's singletons are the whole process's."""


def _new_lock() -> None:
    """In a child that was forked while another thread was in a call: nobody would let go of it."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)

Keywords = Mapping[str, Any]


def run(
    typed: Sequence[str], config_dir: str | Path | None, keywords: Keywords, *, verbose: bool
) -> Run:
    """See `runner.run`."""
    asked = words(typed, keywords, swept=False)
    objects = {part: found[0] for part, found in asked.objects.items()}
    with ExitStack() as stack:
        stack.enter_context(_called(asked.shown("runner.run"), verbose=verbose))
        composed = one_cell(_checked(asked), config_dir)
        names = {part: short(value) for part, value in objects.items()}
        cell = _with_objects(composed, names, stack.enter_context(given.held(objects)))
        _refuse_a_dry_run(cell)
        check_alone(cell.spec.sweep, is_swept=False)
        spec = checked(cell)
        refuse_unused([cell])
        stack.enter_context(_torch_state([cell]))
        tracked = stack.enter_context(_session(cell))
        done, received = alone.carry_out(cell, spec, tracked)
        alone.raise_failure(done)
        if done.end.outcome == "interrupted":
            _hand_on(received)
        [record] = Journals(tracked.name).found(done.id)
        return Run(record, keep=not tracked.settings.keep_journal)


def sweep(
    typed: Sequence[str], config_dir: str | Path | None, keywords: Keywords, *, verbose: bool
) -> Sweep:
    """See `runner.sweep`."""
    asked = words(typed, keywords, swept=True)
    named = [list(zip(labels(given), given, strict=True)) for given in asked.objects.values()]
    combined = [dict(zip(asked.objects, some, strict=True)) for some in itertools.product(*named)]
    with ExitStack() as stack:
        stack.enter_context(_called(asked.shown("runner.sweep"), verbose=verbose))
        source = many_cells(_checked(asked), config_dir)
        if len(combined) > 1 and source.is_search:
            raise ConfigError(
                "sweep.sampler", "a search chooses among no objects: expected one each"
            )
        held = []
        for objects in combined:
            names = {part: name for part, (name, _) in objects.items()}
            own = {part: value for part, (_, value) in objects.items()}
            held.append((names, stack.enter_context(given.held(own))))

        def with_objects(composed: Sequence[Cell]) -> list[Cell]:
            made = [_with_objects(cell, *own) for own in held for cell in composed]
            called = within_sweep(made) if len(held) > 1 else [cell.name for cell in made]
            return [replace(cell, name=name) for cell, name in zip(made, called, strict=True)]

        if asked.objects:
            source = source.mapped(with_objects)
        cells = source.span
        _refuse_a_dry_run(cells[0])
        settings = launch.settings(cells)
        # Processes of the caller's that nobody has asked for would be a surprise.
        settings = replace(settings, workers=settings.workers or 1)
        if asked.objects and settings.workers != 1:
            raise ConfigError("sweep.workers", "expected 1, for an object is in this process alone")
        stack.enter_context(_torch_state(cells))
        tracked = stack.enter_context(_session(cells[0]))
        ended = carry_out(source, settings, tracked)
        _hand_on(ended.received)
        _warn(ended)
        journals = Journals(tracked.name)
        keep = not tracked.settings.keep_journal
        if ended.run:
            [record] = journals.found(ended.run)
            return Sweep(record, journals.cells(record), keep=keep)
        return Sweep(None, journals.by_id([r.run for r in ended.results]), keep=keep)


def load(word: str, uri: str | None, *, trust: bool) -> Run | Sweep:
    """See `runner.load`."""
    if not isinstance(word, str):
        raise NotFound(f"{word!r}: expected an id, a name or 'latest'")
    if uri is not None and (why := fault(uri) if isinstance(uri, str) else "is no text"):
        raise NotFound(f"uri: {why}")
    with project.here(), _environment(), in_process.heeded():
        record, cells = find_all(word, uri, trust=trust)
    return Sweep(record, cells) if record.is_sweep else Run(record)


def finish() -> str:
    """See `runner.finish`."""
    with project.here():
        return "\n".join(background.finish())


@contextmanager
def _called(text: str, *, verbose: bool) -> Iterator[None]:
    """One call at a time, quiet, with the caller's own state put back when it ends."""
    with ExitStack() as stack:
        stack.enter_context(_one_at_a_time)
        stack.enter_context(project.here())
        stack.enter_context(call(text))
        stack.enter_context(quietly(not verbose))
        stack.enter_context(_random_state())
        stack.enter_context(in_process.heeded())
        stack.enter_context(threads_put_back())
        yield


@contextmanager
def _environment() -> Iterator[None]:
    """Put the caller's environment variables back: MLflow's patience is among them."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _random_state() -> Iterator[None]:
    """Put back where the caller's random numbers of Python and NumPy were."""
    python, legacy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)


@contextmanager
def _torch_state(cells: Sequence[Cell]) -> Iterator[None]:
    """PyTorch as it begins, whatever the caller has switched; afterwards as the caller has it.

    If a cell needs PyTorch: its random numbers, switches and modes.
    """
    if all(cell.spec.gradient == "by_hand" for cell in cells):
        yield
        return
    import torch

    from runner.engine import hooked

    random_state = torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        with isolated(), plain_modes():
            yield
    finally:
        torch.set_rng_state(random_state)
        hooked.with_compiler()
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)


@contextmanager
def _session(cell: Cell) -> Iterator[Session]:
    """The journal of this call, closed when it ends."""
    tracked = background.session(Settings.of(cell.spec))
    try:
        yield tracked
    finally:
        tracked.close()


def _checked(asked: Words) -> list[str]:
    """The overrides. Raises ConfigError for those that a call or an object makes meaningless."""
    overrides = []
    for text in asked.overrides:
        typed = parse(text)
        key, part = typed.key, typed.top
        if key.startswith(("hydra.", "hydra/")):
            raise ConfigError(text, "Hydra's own settings are for the command line")
        kept = [f"{part}.{name}" for name in given.KEPT.get(part, ())]
        if part in asked.objects and key not in kept:
            raise ConfigError(text, f"{part} is an object in this call, and takes no such value")
        # The option in whose place it stands may have no such key.
        added = part in asked.objects and key in kept and not typed.prefix
        overrides.append(f"++{text}" if added else text)
    return overrides


def _with_objects(cell: Cell, names: Mapping[str, str], nodes: Mapping[str, Values]) -> Cell:
    """The cell with these parts, under these names, in place of those that its config names."""
    values, choices, overrides = dict(cell.values), dict(cell.choices), list(cell.overrides)
    typed = keys_with_value(overrides)
    follows = (cell.follows or frozenset()) - nodes.keys()
    for part, node in nodes.items():
        kept = {k: values[part][k] for k in given.KEPT.get(part, ()) if f"{part}.{k}" in typed}
        if node.get("lr") == "${lr}":
            node, follows = {**node, "lr": values["lr"]}, follows | {part}
        values[part] = {**node, **kept}
        choices[part] = names[part]
        overrides.append(f"{part}={choices[part]}")
    kept = without_replaced(choices)
    return replace(
        cell, values=settled(values), choices=kept, overrides=overrides, follows=frozenset(follows)
    )


def _refuse_a_dry_run(cell: Cell) -> None:
    if cell.spec.sweep.dry_run:
        raise ConfigError("sweep.dry_run", "prints a plan, which is for the command line")


def _hand_on(received: Sequence[str]) -> None:
    """Let the caller's own handler have the signal that has ended it, now that all is recorded.

    Python's raises KeyboardInterrupt for Ctrl-C; after one that returns, so does the call.
    """
    for name in received[:1]:
        signal.raise_signal(signal.Signals[name])


def _warn(ended: EndedSweep) -> None:
    """Say what the command would end with another exit status for."""
    failed = [r for r in ended.results if r.outcome == "failed"]
    if failed:
        first = f"{ended.cells[failed[0].cell].name}: {failed[0].reason}"
        said = f"{len(failed)} of {len(ended.cells)} cells failed; the first: {first}"
        warnings.warn(said, stacklevel=4)
    if ended.verified and ended.verified.different:
        warnings.warn("\n".join(ended.verified.lines), stacklevel=4)
