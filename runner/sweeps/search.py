"""A search that learns: asks Optuna for samples, a round of them at once, and tells what became.

Everything follows from `sweep.seed` and from what the cells gave. So a search that was cut off goes
on by being asked again: it asks for the cells that are done, and is told of them at once.
"""

import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.base.console import say
from runner.base.seeds import spread
from runner.config.cell import Cell
from runner.config.sample import Sampling, Space, space
from runner.config.samplers import sampler
from runner.config.split import Split
from runner.errors import ConfigError
from runner.sweeps.executors.result import Result
from runner.sweeps.source import CellSource, Rounds

TRIES = 20
"""A sampler may ask for what was asked for before, so often for each new sample."""
FEWEST = 8
"""So many samples are asked for at once, or the root of those that were: a stack is cheap"""
DIGITS = 5
"""In which values have to differ, if one is to be better"""
MOST_CORNERS = 200
"""So many choices of what has no order are tried before it begins."""

Compose = Callable[[Sequence[Sequence[str]], Sequence[Cell]], list[Cell]]
"""From the overrides of cells to those, named as some that are among the others."""

Sample = tuple[tuple[str, ...], tuple[int, ...]]
"""Of each scale its value, of each wheel its position."""


def searched(split: Split, compose: Compose) -> CellSource:
    """The cells of a search. Raises ConfigError."""
    how, place = split.how, split.overrides
    of = space(how, split.axes)
    span = compose([place(turn) for turn in _corners(of)], [])
    made = Search(how, of, span[0].spec.sweep.minimise)
    assert how.samples is not None
    seeds = math.prod(len(wheel) for wheel in of.seeds)

    def rounds() -> Rounds:
        for asked in made.asks(how.samples or 0):
            turns = [turn for sample in asked for turn in of.sample(*sample)]
            results = yield compose([place(turn) for turn in turns], span)
            ordered = sorted(results)
            cells = [ordered[at : at + seeds] for at in range(0, len(ordered), seeds)]
            for sample, own in zip(asked, cells, strict=True):
                made.tell(sample, own)
            say(made.progress(how.samples or 0))

    return CellSource(span, rounds(), how.samples * seeds, made.lines(), made.found)


def _corners(of: Space) -> Iterator[list[tuple[int, str]]]:
    """Samples of which some have each value of a wheel, each end of a scale, and each seed."""
    sizes = [range(len(wheel)) for wheel in of.wheels]
    if math.prod(map(len, sizes)) <= MOST_CORNERS:
        choices = list(itertools.product(*sizes))
    else:
        first = (0,) * len(sizes)
        choices = [(*first[:n], at, *first[n + 1 :]) for n, size in enumerate(sizes) for at in size]
    for share in (0.0, 1.0) if of.scales else (0.0,):
        texts = [scale.at(share) for scale in of.scales]
        for number, choice in enumerate(choices):
            seeded = of.sample(texts, choice)
            yield from seeded if number == share == 0 else seeded[:1]


class Search:
    """A study of Optuna's over a space: samples are asked for, and told what their cells gave."""

    def __init__(self, how: Sampling, of: Space, minimise: str) -> None:
        """`minimise` is a metric of a run at its end."""
        own = sampler(how.sampler, how.seed)
        if how.sampler == "cmaes" and len(of.scales) < 2:
            raise ConfigError("sweep.sampler=cmaes: expected two intervals or more; tpe takes one")
        import optuna
        from optuna.distributions import (
            BaseDistribution,
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._how, self._of, self._minimise = how, of, minimise
        self._study = optuna.create_study(sampler=own)
        self._states = optuna.trial.TrialState
        self._kinds: dict[str, BaseDistribution] = {
            scale.axis.key: IntDistribution(int(scale.low), int(scale.high), log=scale.is_log)
            if scale.is_whole
            else FloatDistribution(float(scale.low), float(scale.high), log=scale.is_log)
            for scale in of.scales
        }
        for key, wheel in zip(of.keys, of.wheels, strict=True):
            self._kinds[key] = CategoricalDistribution(range(len(wheel)))
        self._asked: dict[Sample, list[Any]] = {}  # with the trials that have asked for it
        self._told: dict[Sample, list[Result]] = {}
        self._best: tuple[float, Sample] | None = None

    @property
    def _batch(self) -> int:
        """So many samples in the next round: more, the more are known.

        It depends on those before alone, so that a longer search begins as a shorter one.
        """
        return self._how.batch or max(FEWEST, math.isqrt(len(self._asked)))

    def lines(self) -> list[str]:
        """What a person is told of it."""
        how = self._how
        own = f", {how.batch} at a time" if how.batch else ""
        lines = [f"search by {how.sampler}: {how.samples} samples{own}, the least {self._minimise}"]
        if how.sampler == "cmaes" and self._of.keys:
            lines.append(f"  {', '.join(self._of.keys)}: drawn at random, for cmaes has no choices")
        return lines

    def asks(self, samples: int) -> Iterator[list[Sample]]:
        """Samples that are new, a round at once, until so many were asked for or none is new."""
        while len(self._asked) < samples:
            asked = self._new(min(self._batch, samples - len(self._asked)))
            if not asked:
                say(f"{len(self._asked)} samples are all that it finds")
                return
            yield asked

    def _new(self, most: int) -> list[Sample]:
        found: list[Sample] = []
        for _ in range(TRIES * most):
            if len(found) == most:
                break
            trial = self._study.ask(self._kinds)
            texts = tuple(scale.written(trial.params[scale.axis.key]) for scale in self._of.scales)
            sample: Sample = texts, tuple(trial.params[key] for key in self._of.keys)
            if sample not in self._asked:
                found.append(sample)
            self._asked.setdefault(sample, []).append(trial)
            if sample in self._told:
                self._tell(trial, self._told[sample])
        return found

    def tell(self, sample: Sample, results: list[Result]) -> None:
        """What became of its cells, one for each seed."""
        self._told[sample] = results
        for trial in self._asked[sample]:
            self._tell(trial, results)
        value = self._value(results)
        if not any(r.outcome == "pruned" for r in results) and math.isfinite(value):
            self._best = min(self._best or (math.inf, sample), (value, sample))

    def _tell(self, trial: Any, results: Sequence[Result]) -> None:
        value = self._value(results)
        if math.isnan(value):
            self._study.tell(trial, state=self._states.FAIL)
        elif given_up := [r for r in results if r.outcome == "pruned"]:
            trial.report(value, max(r.epochs for r in given_up))
            self._study.tell(trial, state=self._states.PRUNED)
        else:
            self._study.tell(trial, value)

    def _value(self, results: Sequence[Result]) -> float:
        """The median over the seeds; infinite for what diverged, and NaN if all failed."""
        values = [
            math.inf if r.outcome == "diverged" else r.metrics.get(self._minimise, math.nan)
            for r in results
        ]
        return spread(values).middle

    def progress(self, samples: int) -> str:
        """A line on where it is."""
        width = len(str(samples))
        told = f"  {len(self._told):>{width}} of {samples}"
        if self._best is None:
            return f"{told}  none ended in a number"
        value, sample = self._best
        return f"{told}  best {value:.6g}  {' '.join(self._said(sample))}"

    def _said(self, sample: Sample) -> list[str]:
        """What is to be typed for the sample."""
        texts, positions = sample
        keys = [scale.axis.key for scale in self._of.scales]
        said = [f"{key}={text}" for key, text in zip(keys, texts, strict=True)]
        wheels = zip(self._of.wheels, positions, strict=True)
        return said + [text for wheel, at in wheels for _, text in wheel[at]]

    def found(self) -> dict[str, str]:
        """Tags of the sweep's run: how it searched, and how much each number has to do with it."""
        how = self._how
        tags = {"sampler": how.sampler, "minimise": self._minimise}
        if importance := self._importance():
            tags["importance"] = json.dumps(importance)
        if self._best is not None:
            value, sample = self._best
            tags["found"] = f"{' '.join(self._said(sample))}: {self._minimise} {value:.6g}"
        return tags

    def _importance(self) -> dict[str, float]:
        """The share of the variance of the samples' ranks that each number alone explains.

        By a random forest: fANOVA, Hutter, Hoos and Leyton-Brown, 2014. Ranks, for what nearly
        diverges would be all of the variance of the losses; what differs by rounding has one.
        """
        import optuna

        done = self._study.get_trials(deepcopy=False, states=(self._states.COMPLETE,))
        values = {_rounded(trial.value) for trial in done if trial.value is not None}
        ranks = {value: rank for rank, value in enumerate(sorted(values))}
        if len(ranks) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of normalize
            made = optuna.importance.get_param_importances(
                self._study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=self._how.seed),
                target=lambda trial: float(ranks[_rounded(trial.value or 0.0)]),
                normalize=False,
            )
        return {key: float(value) for key, value in made.items()}


def _rounded(value: float) -> float:
    """The value without the digits that may be rounding."""
    return float(f"{value:.{DIGITS}g}")
