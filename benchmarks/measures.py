"""What each measure costs: a value of it against a step of the same loop with none."""

from collections.abc import Iterator
from statistics import median

from benchmarks.loops import recorded_steps
from runner.config.schema import register

REPEATS = 3
SMALL = ["dataset=iris", "model=mlp", "model.widths=[8]", "loss=cross_entropy"]
LARGE = ["dataset=digits", "model=mlp", "loss=cross_entropy"]
BY_HAND = ["dataset=diabetes", "model=linear", "gradient=by_hand"]
OF_ALL = ("learning_rate", "update_norm", "parameter_norm", "cosine", "sharpness", "trace")
OF_SAMPLES = (*OF_ALL, "gradient_noise", "batch_sharpness")
CASES = {
    "67 parameters": (SMALL, OF_SAMPLES, 200),
    "2,410 parameters": (LARGE, OF_SAMPLES, 20),
    "11 by hand": (BY_HAND, (*OF_SAMPLES, "distance", "excess_loss"), 500),
    "67, adam": ([*SMALL, "optimizer=adam"], ("preconditioned_sharpness",), 200),
}
"""Of each: what is trained, what is measured at every step, and for how many steps"""


def rows() -> Iterator[tuple[str, ...]]:
    """A row for each measure of each."""
    register()
    for name, (words, measures, steps) in CASES.items():
        plain = [*words, "lr=0.05", "tolerance=0", "print_every=0", f"epochs={steps}"]
        recorded_steps(plain)  # warm up
        for measure in measures:
            typed = [*plain, f"measure={measure}", "measure.every=1"]
            recorded_steps(typed)
            pairs = [(recorded_steps(typed), recorded_steps(plain)) for _ in range(REPEATS)]
            cost, step = median(a - b for a, b in pairs), median(b for _, b in pairs)
            times = f"{max(0.0, cost) * 1e6:.0f} us", f"{step * 1e6:.0f} us"
            yield (
                f"{measure}, {name}",
                "a step without",
                *times,
                f"{max(0.0, cost) / step:.1f}",
                "-",
            )
