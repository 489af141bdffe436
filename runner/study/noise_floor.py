"""With noisy gradients a constant learning rate ends at a floor, and averaging goes below it.

Near the minimum of least squares a step on a batch of b samples, drawn with replacement, is e <-
(I - lr A) e - lr g, with A the batch's Hessian and g its gradient at the minimum, of covariance
C / b. So the covariance S of e is stationary where S = E[(I - lr A) S (I - lr A)] + lr^2 C / b,
which is linear in S and solved here as it stands. The excess loss is tr(H S) / 2, H the Hessian
of all samples. To first order in lr it is lr tr C / (4 b), the formula of the books; the first
rival. At lr = 0.05 that is about a tenth too small, at 0.2 a third: the floor of the runs is told
from it.

The mean of the iterates over T steps goes below that floor. With M = I - lr H its covariance is the
sum of (T - k) (M^k S + S M^k) over k from 1 to T - 1, and T S, by T^2; for many steps it tends to
H^-1 C H^-1 / (b T), as if every sample had been used once. The rival is what the last iterate has
at the classical rates 1 / (m s), m the least curvature: their covariance falls like 1 / T too,
but along curvature h by a larger number, (h / m)^2 / (2 h / m - 1).

Every seed has data and batches of its own. What is claimed is the mean over the seeds of measured
by theory; nothing is left to the theory, which is exact, so the tolerance is five standard errors
of that mean.

Sources: Bottou, Curtis and Nocedal 2018, "Optimization methods for large-scale machine learning",
section 4; Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging";
Defossez and Bach 2015, "Averaged least-mean-squares", for the exact recursion.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from runner.base.arrays import Array
from runner.objective import closed_form
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.samples import samples


class Moments(NamedTuple):
    """What the theory needs of a least squares problem."""

    optimum: Array
    hessian: Array
    noise: Array
    """The covariance of one sample's gradient at the optimum"""
    products: Array
    """The mean over the samples of the Kronecker product of a sample's Hessian with itself"""


class Floors(NamedTuple):
    """Predicted excess losses of a run."""

    last: float
    first_order: float
    averaged: float
    decaying: float
    """At the last iterate, with rates 1 / (m s)"""


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves, first, errors = [], [], values["burn_in"], values["errors"]
    for number, (name, sweep) in enumerate(runs.items()):
        last, averaged, first_orders, decaying, smooth = [], [], [], [], []
        for run in sweep:
            problem = problem_of(run)
            count = len(run.parameters) - 1 - first
            floors = predicted(
                problem, float(run.params["lr"]), int(run.params["batch_size"]), count
            )
            table = run.trajectory["excess_loss"].dropna()
            steps, excess = table.index.to_numpy(), table.to_numpy()
            last.append(float(excess[steps > first].mean()) / floors.last)
            first_orders.append(floors.first_order / floors.last)
            apart = run.parameters[-count:].mean(axis=0) - problem.optimum
            averaged.append(float(apart @ problem.hessian @ apart) / 2 / floors.averaged)
            decaying.append(floors.decaying / floors.averaged)
            smooth.append(excess / floors.last)
        claims += [
            Claim(
                f"{name}: excess loss / theory", 1.0, last, 0.0, errors=errors,
                rival=Rival("first order in lr", first_orders),
            ),
            Claim(
                f"{name}: of the mean iterate / theory", 1.0, averaged, 0.0, errors=errors,
                rival=Rival("rates 1 / (m s), no mean", decaying),
            ),
        ]  # fmt: skip
        width = 30
        over_seeds = np.convolve(np.mean(smooth, axis=0), np.ones(width) / width, "valid")
        curves.append(Curve(steps[width - 1 :], over_seeds, name, colour=number))
        rival = float(np.mean(first_orders))
        curves.append(Curve([0, steps[-1]], [rival] * 2, is_theory=True, colour=number))
    curves.append(Curve([0, steps[-1]], [1.0] * 2, "theory", is_theory=True, colour=6))
    picture = Picture(
        "The floor of the noise",
        "step",
        "excess loss / theory",
        curves,
        log="y",
        words="The mean over the seeds and 300 steps. Coloured dashes: the first order in lr.",
    )
    return Findings(claims, [picture])


def predicted(problem: Moments, lr: float, batch: int, count: int) -> Floors:
    """Return the excess losses of the theory and its rivals; `count` iterates are averaged."""
    hessian, noise = problem.hessian, problem.noise
    d = len(hessian)
    one, h = np.eye(d), np.kron(hessian, hessian)
    of_batches = h + (problem.products - h) / batch
    step = np.eye(d * d) - lr * (np.kron(hessian, one) + np.kron(one, hessian)) + lr**2 * of_batches
    s = np.linalg.solve(np.eye(d * d) - step, lr**2 / batch * noise.ravel()).reshape(d, d)
    curvatures, vectors = np.linalg.eigh(hessian)
    along = np.diag(vectors.T @ s @ vectors)
    m = 1 - lr * curvatures
    # The sum of (count - k) m^k over k from 1 to count - 1
    later = m * (count * (1 - m) - (1 - m**count)) / (1 - m) ** 2
    of_mean = along * (count + 2 * later) / count**2
    own_noise = np.diag(vectors.T @ noise @ vectors)
    ratio = curvatures / curvatures[0]
    decaying = own_noise / curvatures**2 * ratio**2 / (2 * ratio - 1) / (batch * count)
    return Floors(
        last=float(np.trace(hessian @ s)) / 2,
        first_order=lr * float(np.trace(noise)) / (4 * batch),
        averaged=float(curvatures @ of_mean) / 2,
        decaying=float(curvatures @ decaying) / 2,
    )


def problem_of(run: Any) -> Moments:
    """Return the problem that the run was on."""
    x, y = samples(run)[:2]
    optimum = closed_form.optimum(x, y)
    slopes = 2 * x * (x @ optimum - y)[:, None]
    pairs = np.einsum("ni,nj->nij", x, x).reshape(len(x), -1) * 2
    d = x.shape[1]
    # E[A_ij A_kl] as the matrix that takes vec(S) to vec(E[A S A])
    products = (
        (pairs.T @ pairs / len(x)).reshape(d, d, d, d).transpose(0, 2, 1, 3).reshape(d * d, -1)
    )
    return Moments(optimum, 2 / len(x) * x.T @ x, np.cov(slopes.T, bias=True), products)
