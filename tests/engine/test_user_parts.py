"""Parts of a user's own: what is honoured, what is refused, and what a stack may not assume."""

from itertools import islice

import numpy as np
import pytest
import torch

import runner
from runner.engine.draws import Draws
from runner.engine.experiment import compose
from runner.errors import ConfigError
from runner.record.journal import End, Journal, Reader
from runner.sweeps.carry_out import work
from runner.sweeps.executors.work import Work, do
from runner.sweeps.plan import plan
from tests.support import parts

MODEL = "~model.initial"


def typed(**named):
    """Overrides that name parts of `tests.support.parts`, with their arguments."""
    words = []
    for part, (name, arguments) in named.items():
        words.append(f"{part}._target_=tests.support.parts.{name}")
        words += [f"+{part}.{key}={value}" for key, value in arguments.items()]
        words += [MODEL] if part == "model" else []
    return words


def model(name, **arguments):
    """Overrides for a model of `tests.support.parts`."""
    return typed(model=(name, arguments))


def optimizer(name):
    """Overrides for an optimizer of `tests.support.parts`, with lr alone."""
    absent = [f"~optimizer.{key}" for key in ("momentum", "dampening", "weight_decay", "nesterov")]
    return [*typed(optimizer=(name, {})), *absent]


def losses(experiment, steps):
    """The losses of the first steps."""
    return [step.loss for step in islice(experiment.steps, steps)]


def bare(network, make, steps, seed=0, closure=False, loss=torch.nn.functional.mse_loss):
    """The losses of a loop as anybody writes it, on the line's samples."""
    torch.manual_seed(seed)
    made = network()
    update = make(made.parameters(), lr=0.01)
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    y, found = 2 * x, []

    def evaluate():
        update.zero_grad()
        value = loss(made(x), y)
        value.backward()
        return value

    for _ in range(steps):
        found.append(evaluate().item())
        update.step(*[evaluate] * closure)
    return found


PLAIN = [
    (kind, torch.optim.SGD) for kind in ("Small", "Frozen", "Features", "Warming", "Old", "Tied")
]


@pytest.mark.parametrize(("name", "make"), PLAIN)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_is_a_bare_loop(name, make, seed, composer):
    """To the last bit: no trial call, and no prediction, leaves a trace in the model."""
    cell = composer.cell([*model(name), f"seed={seed}", "dataset.probe=5"])
    experiment = compose(cell.spec)
    experiment.predict(experiment.initial[None], np.arange(1))
    assert losses(experiment, 50) == bare(getattr(parts, name), make, 50, seed=seed)


def test_a_loss_that_draws_numbers_draws_those_of_a_bare_loop(composer):
    """No trial takes any of them away."""
    cell = composer.cell([*model("Small"), *typed(loss=("NoisyLoss", {}))])
    loss = parts.NoisyLoss()
    expected = bare(parts.Small, torch.optim.SGD, 20, loss=loss)
    assert losses(compose(cell.spec), 20) == expected


@pytest.mark.parametrize("name", ["hooked", "scheduled", "wrapped", "Subclass"])
@pytest.mark.parametrize("kind", ["scalar", "module"])
def test_what_a_user_has_done_to_an_optimizer_is_done(name, kind, composer):
    """Hooks run, wrappers wrap, subclasses are what they are."""
    make = getattr(parts, name)
    if kind == "module":
        experiment = compose(composer.cell([*model("Small"), *optimizer(name)]).spec)
        assert losses(experiment, 20) == bare(parts.Small, make, 20)
    else:
        experiment = compose(composer.cell(optimizer(name)).spec)
        w = torch.zeros(1, requires_grad=True)
        update, x = make([w], lr=0.01), torch.tensor([1.0, 2.0, 3.0, 4.0])
        for step in islice(experiment.steps, 20):
            update.zero_grad()
            value = torch.nn.functional.mse_loss(x * w, 2 * x)
            value.backward()
            update.step()
            assert (step.loss, step.parameters[0]) == (value.item(), w.item())


def test_an_optimizer_forgets_gradients_in_its_own_way(composer):
    parts.Subclass.forgotten = 0
    list(islice(compose(composer.cell(optimizer("Subclass")).spec).steps, 5))
    assert parts.Subclass.forgotten == 5


def test_an_optimizer_gets_the_closure_that_it_wants(composer):
    experiment = compose(composer.cell([*model("Small"), *optimizer("NeedsClosure")]).spec)
    assert losses(experiment, 20) == bare(parts.Small, parts.NeedsClosure, 20, closure=True)


def test_a_global_hook_is_honoured(composer):
    """One that somebody registers for all optimizers."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def still(optimizer, args, kwargs):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad.zero_()

    handle = register_optimizer_step_pre_hook(still)
    try:
        experiment = compose(composer.cell(["lr=0.1"]).spec)
        assert [step.parameters[0] for step in islice(experiment.steps, 3)] == [0, 0, 0]
    finally:
        handle.remove()


@pytest.mark.parametrize("name", ["Transposed", "Sparse"])
def test_parameters_and_gradients_of_any_layout_work(name, composer):
    cell = composer.cell([*model(name), "dataset.x=[0,1,2,3]", "lr=0.001"])
    found = losses(compose(cell.spec), 5)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


REFUSED = [
    *((model("Returns", what=what), "model: expected tests.support.parts.Returns to return a")
      for what in ("dict", "tuple", "none", "number")),
    (model("Returns", what="whole"), "model: expected numbers of torch.float32, got torch.int64"),
    (model("Names", names="[loss,b]"), "model: the parameter loss is called as what is recorded"),
    (model("Names", names="[a,epochs_run]"), "model: the parameter epochs_run is called"),
    (model("Names", names="['a?b',a_b]"), "model: several parameters become a_b in MLflow"),
    (optimizer("nothing"), "optimizer: expected tests.support.parts.nothing to make one of torch"),
    (["optimizer=adam", "optimizer._target_=torch.optim.SparseAdam", "~optimizer.weight_decay",
      "~optimizer.amsgrad"], "optimizer: torch.optim.SparseAdam cannot take a step: "),
    *((typed(loss=("loss_of", {"what": what})), "loss: expected tests.support.parts.loss_of to")
      for what in ("number", "tuple", "none")),
    *((typed(loss=("loss_of", {"what": what})), "does not change with the prediction")
      for what in ("detached", "constant")),
    *(([f"model={model}", f"loss._target_=torch.nn.{name}"], "here are 4 numbers in 4 samples")
      for model in ("linear", "scalar") for name in ("CrossEntropyLoss", "NLLLoss")),
    (["model=scalar", "dataset.probe=null", "loss=cross_entropy", "+dataset.classes=true"],
     "one output where the dataset"),
    (["loss=cross_entropy", "+dataset.classes=true"], "for a model of 4 outputs"),
    *(([f"model={model}", "loss._target_=torch.nn.KLDivLoss"], "takes a number for each class")
      for model in ("linear", "scalar")),
    (typed(dataset=("leaves", {})), "dataset: "),
    *((typed(dataset=("masked", {"which": which})), f"dataset.{which}: holds missing values: 1 are")
      for which in ("x", "y")),
    (["dataset.x=[0.1,0.1,0.1]", "dataset.y=[1,2,3]", "dataset.standardize=true"],
     "standardize: features [0] are constant"),
    (["dataset.x=[0.3,0.30000000000000004,0.3]", "dataset.y=[1,2,3]", "dataset.standardize=true"],
     "standardize: features [0] are constant"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), REFUSED, ids=lambda value: " ".join(value)[-60:])
def test_a_part_that_cannot_serve_is_refused(words, told, composer):
    """In one message, before a run exists."""
    gone = ["~dataset.x", "~dataset.y", "dataset.probe=null"]
    words = [*words, *(gone if any("dataset._target_" in word for word in words) else [])]
    with pytest.raises(ConfigError) as refused:
        compose(composer.cell(words).spec)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "name", ["BCEWithLogitsLoss", "SoftMarginLoss", "HingeEmbeddingLoss", "SmoothL1Loss"]
)
def test_a_loss_of_numbers_is_taken(name, composer):
    """Also one that is flat in places."""
    cell = composer.cell([f"loss._target_=torch.nn.{name}", "dataset.y=[1,-1,1,1]", "lr=0.1"])
    assert len(losses(compose(cell.spec), 3)) == 3


KNOWN = (
    "model._target_=torch.nn.Sequential",
    MODEL,
    "+model._args_=[{_target_:torch.nn.Linear,in_features:1,out_features:3},"
    "{_target_:torch.nn.Tanh},{_target_:torch.nn.Linear,in_features:3,out_features:1}]",
)
OTHERS = [
    (model("Small"), "the model tests.support.parts.Small may keep more than its parameters"),
    (model("Frozen"), "the model tests.support.parts.Frozen may keep"),
    (model("layers", kind="'forward hook'"), "0 in the model may keep"),
    (model("layers", kind="'backward hook'"), "2 in the model may keep"),
    (model("layers", kind="'parameter hook'"), "0.weight in the model is hooked"),
    (model("layers", kind="'own forward'"), "1 in the model may keep"),
    (model("layers", kind="frozen"), "0.bias in the model does not learn"),
    (model("layers", kind="buffer"), "the model keeps what is not a parameter: scale"),
    (model("layers", kind="dropout"), "1 in the model may keep"),
    (model("layers", kind="'weight norm'"), "0 in the model may keep"),
    (
        [*KNOWN, *typed(loss=("CountingLoss", {}))],
        "the loss tests.support.parts.CountingLoss may keep",
    ),
    (typed(loss=("CountingLoss", {})), "the loss tests.support.parts.CountingLoss may keep"),
]


def planned(composer, words, stack="auto", seeds=9):
    """The plan of a sweep over seed and lr."""
    cells = [composer.cell([*words, f"seed={n}", f"lr=0.0{n + 1}"]) for n in range(seeds)]
    return plan(cells, stack=stack, done={}, workers=1)


@pytest.mark.parametrize(("words", "why"), OTHERS, ids=lambda value: " ".join(value)[-50:])
def test_what_is_not_known_to_be_a_function_runs_alone(words, why, composer):
    """Unless a stack is asked for, which then has to be verified."""
    [group] = planned(composer, words).groups
    assert group.alone is not None
    assert group.alone.startswith(why)
    assert group.alone.endswith("sweep.stack=true stacks it all the same, and verifies")
    [asked] = planned(composer, words, stack=True).groups
    assert asked.doubt == group.alone or "PyTorch cannot stack it" in asked.alone


def test_what_is_known_is_stacked(composer):
    [group] = planned(composer, [*KNOWN, "dataset=noisy_line"]).groups
    assert (group.alone, group.doubt) == (None, None)
    [group] = planned(composer, model("layers", kind="none")).groups
    assert (group.alone, group.doubt) == (None, None)
    apart = planned(composer, model("layers", kind="drawn")).groups  # each seed's own layer
    assert [len(group.numbers) for group in apart] == [9]
    assert apart[0].alone == "no other cell has its structure"


def test_the_plan_is_made_by_sizes(composer, monkeypatch):
    """Never by a clock: the same cells, the same plan; `true` ignores what it costs."""
    import time

    def looked(*_):
        raise AssertionError("a plan looked at a clock")

    for name in ("time", "perf_counter", "monotonic", "process_time"):
        monkeypatch.setattr(time, name, looked)
    large = ["dataset=plane", "model=linear", "dataset.samples=30000", "dataset.seed=${seed}"]
    [group] = planned(composer, large, seeds=2).groups
    assert group.alone == "a stack of 2 cells of this size costs more than it saves"
    assert planned(composer, large, seeds=2, stack=True).groups[0].alone is None
    assert planned(composer, large, seeds=2, stack=False).groups[0].alone == "sweep.stack=false"
    small = ["dataset=plane", "model=linear"]
    assert planned(composer, small).groups[0].alone is None


def carried_out(composer, tmp_path, words):
    """A lone cell of a sweep: its result, its end, and the number of its steps."""
    cell = composer.cell(words)
    data = Draws().dataset(cell.spec)
    journal, results = Journal(tmp_path / "journal.db"), []
    do(Work([0], [cell], [data], [""], None, "parent", ""), journal, [], results.append)
    journal.close()
    [end] = [
        r.content for r in Reader(tmp_path / "journal.db").rest() if isinstance(r.content, End)
    ]
    return results[0], end


@pytest.mark.parametrize(
    ("how", "brief"),
    [
        ("exit", "SystemExit: 0"),
        ("cancelled", "asyncio.exceptions.CancelledError"),
        ("generator", "GeneratorExit"),
        ("bytes", "ValueError: cannot read caf\udce9"),
        ("lines", "RuntimeError: out of memory"),
    ],
)
def test_whatever_a_part_raises_ends_its_run_as_failed(how, brief, composer, tmp_path):
    """With the steps that it took; the first line of what it says is the reason."""
    words = [*model("Ends", how=how), "epochs=50", "tolerance=0"]
    result, end = carried_out(composer, tmp_path, words)
    assert (result.outcome, result.epochs, result.reason) == ("failed", 29, brief)
    assert end.brief == brief
    assert "Traceback" in end.reason


@pytest.mark.parametrize(("name", "epochs"), [("RaisesEarly", 4), ("RaisesAtTheEnd", 50)])
def test_a_part_that_raises_early_or_late(name, epochs, composer, tmp_path):
    words = [*model(name), "epochs=50", "tolerance=0", "dataset.probe=5"]
    result, end = carried_out(composer, tmp_path, words)
    assert (result.outcome, result.epochs) == ("failed", epochs)
    assert end.metrics["epochs_run"] == epochs
    assert end.brief.startswith("ValueError: ")


@pytest.mark.parametrize("how", ["gradients", "dtype"])
def test_what_a_part_switches_is_switched_back(how, composer, tmp_path):
    """A cell after it runs as it would have run by itself."""
    words = [*model("Switches", how=how), "epochs=12", "tolerance=0"]
    first, _ = carried_out(composer, tmp_path, words)
    assert first.outcome == ("failed" if how == "gradients" else "exhausted")
    (tmp_path / "next").mkdir()
    after, _ = carried_out(composer, tmp_path / "next", [*model("Switches"), *words[-2:]])
    assert after.final_loss == bare(parts.Small, torch.optim.SGD, 12)[-1]


def test_what_breaks_at_its_second_step_in_a_stack_runs_alone(composer):
    """It has kept something from the first."""
    [group] = planned(composer, model("Keeps"), stack=True).groups
    assert group.alone.startswith("PyTorch cannot stack it: ")


def test_a_loss_below_zero_never_converges_without_a_tolerance(composer, tmp_path):
    words = [*typed(loss=("below_zero", {})), "tolerance=0", "epochs=7"]
    result, _ = carried_out(composer, tmp_path, words)
    assert (result.outcome, result.epochs) == ("exhausted", 7)
    assert result.final_loss < 0


def test_a_sweep_draws_its_data_once(composer):
    """A function that draws anew at each call gives one dataset for all cells that say the same."""
    words = [*typed(dataset=("unseeded", {})), "~dataset.x", "~dataset.y", "dataset.probe=null"]
    cells = [composer.cell([*words, f"dtype={d}"]) for d in ("float32", "float64", "float32")]
    cells += [composer.cell([*words, "+dataset.samples=9"])]
    made = plan(cells, stack=False, done={}, workers=1)
    first, double, again, other = made.data
    assert again is first
    np.testing.assert_array_equal(double.x.astype(np.float32), first.x)
    assert len(other.x) == 9
    assert made.fingerprints[0] == made.fingerprints[2] != made.fingerprints[1]


TAKEN = [
    *(words for words, _ in OTHERS if "'backward hook'" not in " ".join(words)),
    model("Features"),
    model("Warming"),
    model("Frozen", spare="true"),
    model("layers", kind="none"),
    model("layers", kind="drawn"),
    [*KNOWN],
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("words", TAKEN, ids=lambda value: " ".join(value)[-50:])
@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_a_sweep_of_a_users_parts_is_its_lone_runs(words, rule, composer, tmp_path):
    """However the plan carries them out; what a user's part does differs from cell to cell."""
    words = [*words, f"optimizer={rule}", "dtype=float64", "epochs=12", "tolerance=0"]
    made = planned(composer, words, seeds=5)
    journal, results = Journal(tmp_path / "journal.db"), []
    for unit in made.units:
        do(work(made, unit, "parent", ""), journal, [], results.append)
    journal.close()
    assert {result.outcome for result in results} == {"exhausted"}
    for result in results:
        own = [r.content for r in Reader(tmp_path / "journal.db").rest() if r.run == result.run]
        rows = np.concatenate([part for part in own if isinstance(part, np.ndarray)])
        cell, data = made.cells[result.cell], made.data[result.cell]
        steps = list(islice(compose(cell.spec, data).steps, 12))
        np.testing.assert_allclose(rows["loss"][1:], [step.loss for step in steps], rtol=1e-12)
        parameters = np.array([step.parameters for step in steps])
        np.testing.assert_allclose(rows["parameters"][1:], parameters, rtol=1e-12, atol=1e-14)


def test_a_schedule_begins_with_a_rate():
    """A rule of one's own that takes no lr has none to begin with: told before a run exists."""
    words = ["optimizer._target_=tests.support.parts.rule_without_lr", "+optimizer.by_hand=true"]
    words += ["~optimizer.lr", "optimizer=by_hand", "schedule=exponential"]
    with pytest.raises(ConfigError, match=r"optimizer\.lr: expected a number, with which"):
        runner.run(*words, "tracking=off")


NOT_TRAINED = {
    # the model: what is said of it
    "complex": r"beside is of torch\.complex64, .* keep its real part",
    "whole": r"beside is of torch\.int64, .* make it a buffer",
    "double": r"beside is of torch\.float64, .* dtype=float64",
    "sparse": "beside is sparse",
    "meta": "beside is on the meta device",
    "lazy": r"beside\.weight has no shape",
    "listed": r"a tensor of shape \(1,.*\) that wants a gradient",
    "tensor": r"a tensor of shape \(1,\) that wants a gradient",
    "detached": "has no gradient by its parameters",
    "frozen": "none learns",
}


@pytest.mark.parametrize("what", NOT_TRAINED)
def test_a_model_of_which_something_would_not_be_trained(what, composer):
    """Nothing is cast, left out or frozen in silence."""
    with pytest.raises(ConfigError, match=rf"^model: .*{NOT_TRAINED[what]}"):
        compose(composer.cell(model("Untrained", what=what)).spec)


def test_a_complex_constant_is_refused_too(composer):
    with pytest.raises(ConfigError, match=r"phase is of torch\.complex64"):
        compose(composer.cell(model("complex_buffer")).spec)


def test_a_double_parameter_is_trained_as_one(composer):
    """What is refused in float32 is as it should be in float64."""
    words = [*model("Untrained", what="double"), "dtype=float64"]
    assert compose(composer.cell(words).spec).initial.dtype == np.float64


NOT_OF_THE_MODEL = {
    "loss module": {"loss": parts.WithWeight},
    "loss object": {"loss": parts.WithWeight()},
    "loss function": {"loss": parts.with_scale},
    "loss of a closure": {"loss": lambda prediction, y: parts.with_scale(prediction, y)},
    "objective": {"objective": parts.bowl},
}


@pytest.mark.parametrize("case", NOT_OF_THE_MODEL)
@pytest.mark.parametrize("swept", [False, True])
def test_what_only_a_loss_would_learn_is_refused(case, swept, here):
    """Its parameters are not the model's, which alone are trained and recorded."""
    call = runner.sweep if swept else runner.run
    more = {"seed": [0, 1]} if swept else {}
    words = ["tracking=off", *["objective.start=[1.0]"] * (case == "objective")]
    with pytest.raises(runner.ConfigError, match="would neither be trained nor recorded"):
        call(*words, **NOT_OF_THE_MODEL[case], **more)
    assert not list(here.iterdir())


def test_a_loss_with_a_constant_is_none_that_learns(here):
    """A parameter that does not learn is a number like another."""
    run = runner.run("tracking=off", loss=lambda *pair: parts.WithWeight(learns=False)(*pair))
    assert run.final_loss == runner.run("tracking=off").final_loss


def test_an_optimizer_that_leaves_parameters_out_is_refused(here):
    with pytest.raises(runner.ConfigError, match=r"weights_alone leaves out b, .* frozen: true"):
        runner.run("tracking=off", "model=linear", optimizer=parts.weights_alone)
