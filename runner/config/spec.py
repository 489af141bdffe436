"""A config as values with types: what a run is made of, and how it is kept and shown.

Whatever composes, executes or records a run asks for a `Checked` one, which only
`runner.engine.check.checked` gives: it refuses what no run can start with. The parts are nodes,
which name a class and its arguments: `runner.config.build.build` makes objects of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NewType

from runner.config.schema import Values


@dataclass(frozen=True)
class DeviceSpec:
    """Where PyTorch computes."""

    name: str
    threads: int = 1
    """Of the CPU, for linear algebra; runs from before this was a setting do not say"""


@dataclass(frozen=True)
class TrackingSpec:
    """Where a run is published, and what of it."""

    uri: str | None
    """None: nowhere"""
    experiment: str
    live: bool
    wait: bool
    keep_journal: bool
    points: int | None
    """The most points that a metric has in MLflow; None: all"""
    log_model: bool


@dataclass(frozen=True)
class ReportSpec:
    """What is drawn."""

    pictures: bool | None
    """None: of small sweeps"""
    page: bool


@dataclass(frozen=True)
class RecordSpec:
    """What is recorded of each step."""

    most_bytes: int
    """The most room for all parameters of all steps; where they take more, some are recorded"""


@dataclass(frozen=True)
class CheckpointSpec:
    """When the whole state is kept."""

    every: int | None
    """Steps; None: never"""


@dataclass(frozen=True)
class SweepSpec:
    """How a sweep is carried out; of a run by itself, the defaults."""

    stack: bool | str
    workers: int | None
    dry_run: bool
    resume: bool
    verify: int
    on_error: str
    sampler: str
    samples: int | None
    zip: list[Any] | None
    seed: int
    batch: int | None
    minimise: str
    prune: str | None


@dataclass(frozen=True, kw_only=True)
class ProblemSpec:
    """What a run fits: samples, model and loss, or an objective in their place."""

    dtype: str
    dataset: Values | None
    model: Values | None
    loss: Values | None
    objective: Values | None
    """None, as the three above, where the other is given"""
    validation_data: Values | None = None
    validation: float | None = None
    """The share of the samples that is for validation"""
    split_seed: int = 0

    def part(self, name: str) -> Values:
        """Return the node of a part that must be there: `dataset`, `model` or `loss`."""
        node: Values | None = getattr(self, name)
        assert node is not None, name
        return node


@dataclass(frozen=True, kw_only=True)
class Spec(ProblemSpec):
    """A config, each value of its type."""

    gradient: str
    seed: int
    lr: float
    epochs: int
    max_steps: int | None
    tolerance: float
    patience: int | None
    min_delta: float
    batch_size: int | None
    """None: all samples at every step"""
    shuffle: str | bool
    drop_last: bool
    clip: float | None
    """The largest norm of a gradient; None: any"""
    clip_value: float | None
    """The largest magnitude of each of its numbers; None: any"""
    print_every: int
    optimizer: Values
    schedule: Values
    measure: Values
    """The measures that are taken, each a node, and how often"""
    device: DeviceSpec
    tracking: TrackingSpec
    report: ReportSpec
    record: RecordSpec
    checkpoint: CheckpointSpec
    sweep: SweepSpec
    values: Values = field(repr=False, compare=False)
    """The config as plain values: what is recorded, named and told apart by its text"""


Checked = NewType("Checked", Spec)
"""A spec with which a run can start."""

_NODES: Mapping[str, Callable[..., Any]] = {
    "device": DeviceSpec,
    "tracking": TrackingSpec,
    "report": ReportSpec,
    "record": RecordSpec,
    "checkpoint": CheckpointSpec,
    "sweep": SweepSpec,
}


def typed(values: Values) -> Spec:
    """Return the spec of a config whose values are of the schema's types."""
    given = {one.name: values[one.name] for one in fields(Spec) if one.name != "values"}
    for name, kind in _NODES.items():
        given[name] = kind(**given[name])
    return Spec(**given, values=values)


def problem_of(values: Mapping[str, Any]) -> ProblemSpec:
    """Return what a config says of the problem alone; it may lack all else."""
    names = (one.name for one in fields(ProblemSpec))
    return ProblemSpec(**{name: values[name] for name in names if name in values})
