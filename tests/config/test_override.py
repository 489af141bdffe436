"""Overrides through the front door, in one process: alone, swept, and refused in one message."""

import json

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from omegaconf import open_dict

from runner.base.paths import CONF
from runner.config.cell import chosen
from runner.config.composer import Composer
from runner.config.refused import message
from runner.config.schema import plain, register
from runner.config.split import split, with_their_options
from runner.errors import ConfigError

NUMBERS = ["0", "1", "3", "0.1", "0.25", "-1", "1e-3", "1e-300", "1e38", "nan", "007", "1_0"]
REFERENCES = ["${lr}", "${seed}", "${optimizer.lr}", "${.lr}", "${hydra:job.name}", "${nowhere}"]
ODD = ["null", "true", "abc", "''", "'a b'", "[1,2,3,4]", "[0.5,0.6]", "[]", "[[1],[2]]", "2${lr}"]
MERGED = ["{lr:0.1}", "{lr:0.2}", "{lr:'${seed}'}", "{momentum:0.5}", "{w:3}", "{w:null}", "{}"]
KEYS = [
    *["lr", "seed", "epochs", "tolerance", "dtype", "gradient", "print_every", "device.name"],
    *[
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.betas",
        "optimizer.nesterov",
        "optimizer.eps",
    ],
    *["model.initial", "model.initial.w", "model.bias", "loss.gradient_reduction", "loss.delta"],
    *[
        "dataset.x",
        "dataset.x.0",
        "dataset.probe",
        "dataset.noise",
        "dataset.seed",
        "optimizer._target_",
    ],
    *["report.page", "tracking.live", "sweep", "nowhere", "hydra.job.name", "hydra.sweep.subdir"],
]
OPTIONS = {
    "optimizer": ["sgd", "adam", "momentum", "by_hand", "rmsprop", "null", "1", "sdg"],
    "loss": ["mse", "mae", "huber", "nan", "[mse]"],
    "model": ["scalar", "linear", "true"],
    "dataset": ["line", "noisy_line", "plane"],
    "experiment": ["numpy", "module", "line_numpy", "null"],
    "optimizer@loss": ["sgd"],
    "+optimizer@model.initial": ["adam"],
    "+optimizer@spare": ["sgd"],
    "hydra/job_logging": ["none", "null"],
}
DELETED = ["lr", "epochs", "optimizer", "optimizer.lr", "optimizer.momentum", "model.initial"]
DELETED += ["loss.gradient_reduction", "dataset.probe", "optimizer=sgd", "optimizer.momentum=0.0"]

ANY = st.sampled_from([*NUMBERS, *REFERENCES, *ODD])


def values_of(key, values, signs=("", "", "", "+", "++")):
    """Two overrides that give the key, which may be new, values from there."""
    two = st.tuples(st.sampled_from(signs), values, values)
    return two.map(lambda drawn: (f"{drawn[0]}{key}={drawn[1]}", f"{drawn[0]}{key}={drawn[2]}"))


PAIRS = st.one_of(
    st.sampled_from(KEYS).flatmap(lambda key: values_of(key, ANY)),
    st.sampled_from(
        ["lr", "optimizer.lr", "seed", "optimizer.momentum", "model.initial.w"]
    ).flatmap(lambda key: values_of(key, st.sampled_from([*NUMBERS[:5], *REFERENCES[:4]]), ("",))),
    st.sampled_from(sorted(OPTIONS)).flatmap(
        lambda group: values_of(group, st.sampled_from(OPTIONS[group]), ("",))
    ),
    st.sampled_from(["optimizer", "model", "model.initial", "dataset"]).flatmap(
        lambda key: values_of(key, st.sampled_from(MERGED))
    ),
    st.sampled_from(DELETED).map(lambda key: (f"~{key}", f"~{key}")),
)
"""An override as each of two cells has it."""


def as_cells(pairs, swept):
    """The pairs, of which one alone is swept."""
    return [(one, two if number == swept else one) for number, (one, two) in enumerate(pairs)]


def as_sweep(pairs):
    """What is typed for both cells in one sweep."""
    return [one if one == two else f"{one},{two.partition('=')[2]}" for one, two in pairs]


def told(values, choices, overrides):
    """All that tells a cell from another; a number that is swept is written anew: 1e38 as 1e+38."""
    keys = [text.partition("=")[0] for text in overrides]
    mine = [key for key in keys if not key.lstrip("+~").startswith(("sweep.", "hydra"))]
    return json.dumps([values, dict(choices), mine])  # 1 is not 1.0, and NaN is NaN


def told_of(cell):
    return told(cell.values, cell.choices, cell.overrides)


@pytest.fixture
def composing():
    """Compose what is typed: as Hydra does for a lone run, and as ours does for a sweep."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
        parser = OverridesParser.create(config_loader=loader)

        def alone(overrides):
            try:
                config = loader.load_configuration("config", list(overrides), RunMode.RUN)
                HydraConfig.instance().set_config(config)
                choices = chosen(config.hydra.runtime.choices, overrides)
                with open_dict(config):
                    del config["hydra"]
                values = plain(config)
            except Exception:  # what Hydra raises is not always its own
                return None
            return told(values, choices, overrides)

        def swept(typed):
            try:
                own = with_their_options(typed)
                cells = split(parser.parse_overrides(own)).cells()
            except (ConfigError, HydraException):
                return None
            composer, made = Composer(loader, master), []
            for cell in cells:
                try:
                    made.append(told_of(composer.cell(cell)))
                except Exception as error:
                    made.append(None if message(error) else "no message")
            return made

        yield alone, swept


def fuzz(compare, draws, part=0):
    """Compare as many draws of two cells as that; to shrink one that fails would take minutes.

    Each part has draws of its own, the same ones each time.
    """

    @seed(part)
    @settings(
        max_examples=draws,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(st.lists(PAIRS, min_size=1, max_size=5), st.integers(0, 4))
    def drawn(pairs, swept):
        compare(as_cells(pairs, swept))

    drawn()


def assert_alike(cells, alone, pairs):
    """The sweep's cells are the lone runs, but where a later value replaces what is swept."""
    if all(one == two for one, two in pairs):
        alone = alone[:1]
    if len(cells) == len(alone):
        assert cells == alone
    elif None not in alone:  # the text of what is replaced is left out
        assert {part_of(cell) for cell in alone} == {part_of(cell) for cell in cells}


def part_of(cell):
    """Its values and choices."""
    return json.dumps(json.loads(cell)[:2])


def assert_composed_alike(composing):
    """A comparison of two cells: Hydra's values and choices, in ours, or neither has any."""
    alone, swept = composing

    def compare(pairs):
        expected = [alone(cell) for cell in zip(*pairs, strict=True)]
        cells = swept(as_sweep(pairs))
        if cells is None:
            assert None in expected
        else:
            assert_alike(cells, expected, pairs)

    return compare


@pytest.mark.slow
def test_a_cell_is_what_hydra_composes_of_its_lone_run(composing):
    """Whatever is typed: the same values in the order given, or refused by both."""
    fuzz(assert_composed_alike(composing), 25)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_a_cell_is_what_hydra_composes_at_length(part, composing):
    """The same, 400 times."""
    fuzz(assert_composed_alike(composing), 50, 100 + part)


@pytest.mark.parametrize(
    ("typed", "cells"),
    [
        ("+dataset={lr:0.1},{} dataset=noisy_line", 2),  # merged into the option
        ("model.initial={w:1},{w:2} model.initial={w:3},{}", 4),
        ("++optimizer={w:1},{w:2} ~optimizer=sgd", 2),
        ("lr=0.1,0.2 lr=0.3", 1),
        ("lr=0.1,0.2 lr=0.3,0.4,0.5", 3),
        ("+new=0.1,0.2 ~new", 1),
    ],
)
def test_a_sweep_gives_way_to_what_replaces_it(typed, cells, composing):
    """But not to a mapping, which Hydra merges, nor to a deletion of one value."""
    assert len(composing[1](typed.split())) == cells


def assert_carried_out_alike(front_door, capfd):
    """A comparison of two cells that are typed: a run each, and then both in a sweep."""

    def carried_out(*words):
        status, said, ran = front_door(*words, "sweep.dry_run=true")
        said += capfd.readouterr().err
        assert "Traceback" not in said
        assert (status, bool(said)) in ((0, False), (1, True)), said
        return said, [told_of(cell) for cell in ran] if status == 0 else None

    def compare(pairs):
        alone = [carried_out(*cell)[1] for cell in zip(*pairs, strict=True)]
        said, cells = carried_out("-m", *as_sweep(pairs))
        if "would be the same run" in said:
            return
        if cells is None:
            assert None in alone, said
        else:
            assert_alike(cells, [cell and cell[0] for cell in alone], pairs)

    return compare


@pytest.mark.slow
def test_a_sweep_carries_out_its_lone_runs(front_door, capfd):
    """Through the command, up to the first step: the same runs, or one message."""
    fuzz(assert_carried_out_alike(front_door, capfd), 6)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_sweep_carries_out_its_lone_runs_at_length(part, front_door, capfd):
    """The same, 100 times."""
    fuzz(assert_carried_out_alike(front_door, capfd), 25, 100 + part)
