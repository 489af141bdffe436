"""What runs are called, alone and within a sweep."""

import pytest

from runner.config.run_name import of_lone_run
from runner.sweeps.compose import compose


@pytest.fixture(scope="module")
def names(composer):
    """The names of the cells with these overrides, a line each."""

    def named(*lines):
        cells = [line.split() for line in lines]
        return [cell.name for cell in compose(composer._loader, composer._master, cells)]

    return named


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("", "sgd lr=0.01"),
        ("lr=0.1", "lr=0.1"),
        ("optimizer=sgd lr=0.1", "sgd lr=0.1"),
        ("experiment=numpy", "numpy"),
        ("optimizer._target_=torch.optim.NAdam lr=0.1", "NAdam lr=0.1"),
        ("model.initial.w=3 lr=0.1 optimizer=adam", "adam w=3 lr=0.1"),
        ("dataset=plane model=linear optimizer=adam", "adam plane linear"),
        ("gradient=by_hand optimizer=by_hand", "by_hand gradient=by_hand"),
        ("optimizer.lr=0.1", "optimizer.lr=0.1"),  # not the lr that stands beside it
        ("+optimizer.maximize=true ~model.initial", "maximize=true ~model.initial"),
        ("epochs=3 print_every=0 tracking=off sweep.workers=null report.page=false", "epochs=3"),
    ],
)
def test_a_lone_run_is_called_by_what_was_typed(typed, name, composer):
    assert of_lone_run(composer.cell(typed.split())) == name


def test_a_cell_is_called_by_what_differs(names):
    """What all have in common is left out."""
    common = "dataset=noisy_line model=linear epochs=200 tolerance=0"
    assert names(
        *[f"seed={s} lr={lr} optimizer=adagrad {common}" for s in (1, 2) for lr in (0.1, 1)]
    ) == ["lr=0.1 seed=1", "lr=1 seed=1", "lr=0.1 seed=2", "lr=1 seed=2"]
    assert names(f"lr=1 optimizer=sgd {common}", f"lr=1 optimizer=adam {common}") == ["sgd", "adam"]
    assert names("lr=1", "seed=3 lr=1") == ["without a change", "seed=3"]


def test_numbers_are_as_a_person_writes_them(names):
    """As few digits as tell them apart; an integer keeps all of its own."""
    assert names("lr=0.07100000000000001", "lr=0.072") == ["lr=0.071", "lr=0.072"]
    assert names("lr=0.0021544346900318843", "lr=1") == ["lr=0.002154", "lr=1"]
    assert names("lr=0.12345671", "lr=0.12345672") == ["lr=0.12345671", "lr=0.12345672"]
    assert names("seed=123456789012", "seed=1") == ["seed=123456789012", "seed=1"]
    assert names("lr=0.3000000000", "lr=0.30000000000") == ["lr=0.3000000000", "lr=0.30000000000"]


def test_no_two_names_are_alike(names):
    """Nor are two keys whose last parts are."""
    assert names("seed=0", "seed=0") == ["seed=0", "seed=0 (2)"]
    assert names(
        "dataset=noisy_line seed=1 dataset.seed=1", "dataset=noisy_line seed=2 dataset.seed=2"
    ) == ["seed=1 dataset.seed=1", "seed=2 dataset.seed=2"]
