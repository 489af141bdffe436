"""A config on its way to an experiment: typed, its loop matched, its device and its data there.

What comes after this asks no config any more: parts are built from their nodes, which name a class
and its arguments, and all else is a value with a type.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from runner import device
from runner.config.schema import Values
from runner.config.spec import Checked, Spec
from runner.dataset.samples import Dataset
from runner.engine import initial, program
from runner.engine.batches import Order, starts
from runner.engine.draws import Draws
from runner.engine.stop import most_steps
from runner.errors import ConfigError
from runner.objective.minimised import LOSS, MODEL


class Setup(NamedTuple):
    """What an experiment is made of."""

    loop: str
    device: str
    threads: int
    """Of the CPU, for linear algebra"""
    dtype: str
    seed: int
    epochs: int
    batch_size: int | None
    """None: all samples at every step"""
    shuffle: str | bool
    drop_last: bool
    most_bytes: int
    """That all parameters of all steps may take, if they are to be recorded."""
    measure: Values
    """The measures that are taken beside them, each a node, and how often"""
    model: Values
    """This and the next are nodes: see `runner.config.build.build`."""
    loss: Values
    optimizer: Values
    schedule: Values
    clip: float | None
    """The largest norm of a gradient; None: any"""
    clip_value: float | None
    """The largest magnitude of each of its numbers"""
    max_steps: int | None
    patience: int | None
    min_delta: float
    data: Dataset

    def order(self) -> Order | None:
        """In which the samples come, where not all come at once."""
        if self.batch_size is None:
            return None
        samples = len(self.data.x)
        return Order(samples, self.batch_size, [self.seed], self.shuffle, self.drop_last)

    @property
    def most_steps(self) -> int:
        """How many steps it takes at most."""
        return most_steps(self.epochs, self.epoch_steps, self.max_steps)

    @property
    def epoch_steps(self) -> int:
        """How many steps an epoch has."""
        if self.batch_size is None:
            return 1
        return len(starts(len(self.data.x), self.batch_size, self.drop_last))


def setup(spec: Checked, data: Dataset | None = None) -> Setup:
    """Return the setup of a spec.

    `data` is the dataset where it has been drawn already. Raises ConfigError for a combination
    that has no loop, and for a device or a dataset that is not there.
    """
    model, loss = _minimised(spec)
    matched = loop_for(spec)
    if data is None:
        data = Draws().dataset(spec)
    if data.probe is not None and data.outputs > 1:
        raise ConfigError(
            "dataset.probe",
            f"expected null, for a model of {data.outputs} outputs predicts as many",
        )
    if matched == "numpy" and data.ignores:
        raise ConfigError(
            "loss.ignore_index",
            "no loss by hand ignores samples: gradient=autograd, or leave out "
            "those with that label",
        )
    size = spec.batch_size
    if size is not None and size > len(data.x):
        raise ConfigError(
            "batch_size",
            f"expected at most {len(data.x)}, all samples for training, got {size}; "
            "null is all at once",
        )
    return Setup(
        loop=matched,
        device="cpu" if matched == "numpy" else _resolved_device(spec),
        threads=spec.device.threads,
        dtype=spec.dtype,
        seed=spec.seed,
        epochs=spec.epochs,
        batch_size=size,
        shuffle=spec.shuffle,
        drop_last=spec.drop_last,
        most_bytes=spec.record.most_bytes,
        measure=spec.measure,
        model=initial.resolved(model),
        loss=loss,
        optimizer=spec.optimizer,
        schedule=spec.schedule,
        clip=spec.clip,
        clip_value=spec.clip_value,
        max_steps=spec.max_steps,
        patience=spec.patience,
        min_delta=spec.min_delta,
        data=data,
    )


def loop_for(spec: Spec) -> str:
    """The name of the loop that matches the parts. Raises ConfigError where there is none."""
    model, loss = _minimised(spec)
    with refused("no loop for this combination: "):
        return program.match(
            gradient=spec.gradient,
            model=str(model.get("_target_")),
            loss=str(loss.get("_target_")),
            optimizer=str(spec.optimizer.get("_target_")),
            device=spec.device.name,
            reduction=loss.get("gradient_reduction", "mean"),
            schedule=str(spec.schedule.get("_target_")),
            rule=spec.optimizer.get("by_hand") is True,
        )


def _minimised(spec: Spec) -> tuple[Values, Values]:
    """The nodes of the model and of the loss; those that an objective is as both."""
    if spec.objective:
        return {"_target_": MODEL, "objective": spec.objective}, {"_target_": LOSS}
    return spec.part("model"), spec.part("loss")


def _resolved_device(spec: Spec) -> str:
    """The device that PyTorch is to compute on. Raises ConfigError for one that is not there."""
    with refused("device.name: "):
        return device.resolve(spec.device.name, spec.dtype)


@contextmanager
def refused(where: str) -> Iterator[None]:
    """Turn what a part of ours refuses, a ValueError, into a ConfigError that begins with where."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from error
