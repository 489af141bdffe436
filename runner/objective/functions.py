"""Test functions of the literature, each with its gradient, its Hessian and its minima by hand.

Formulas, regions and minima are those of Jamil and Yang 2013, "A literature survey of benchmark
functions for global optimization problems", where a docstring says nothing else; each names the
function's own source as well. `dimension` is the number of parameters.

A value is of w's dtype; of PyTorch's tensors it can be differentiated twice. Rastrigin's and
Ackley's are written so that nothing cancels near the minimum, where they are 0.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.errors import BadValue
from runner.objective.contract import Objective


def rosenbrock(*, dimension: int = 2) -> Objective:
    """Sum of 100 (w[i+1] - w[i]^2)^2 + (1 - w[i])^2: a curved valley, nearly flat along its floor.

    Rosenbrock 1960 for two parameters; his start (-1.2, 1) is repeated for more. The region is De
    Jong's (1975), not the survey's 30 each way. From 4 parameters on there is a second minimum,
    near (-1, 1, ..., 1), that is only local.
    """
    require_dimension(dimension, 2)

    def value(w: Any) -> Any:
        head, tail = w[..., :-1], w[..., 1:]
        return (100 * (tail - head**2) ** 2 + (1 - head) ** 2).sum(-1)

    def gradient(w: Array) -> Array:
        head, tail = w[..., :-1], w[..., 1:]
        rise = tail - head**2
        made = np.zeros_like(w)
        made[..., :-1] = -400 * head * rise - 2 * (1 - head)
        made[..., 1:] += 200 * rise
        return made

    def hessian(w: Array) -> Array:
        head, tail = w[..., :-1], w[..., 1:]
        own = np.zeros_like(w)
        own[..., :-1] = 1200 * head**2 - 400 * tail + 2
        own[..., 1:] += 200
        made = _diagonal(own)
        i = np.arange(dimension - 1)
        made[..., i, i + 1] = made[..., i + 1, i] = -400 * head
        return made

    minima, start = np.ones((1, dimension)), np.where(np.arange(dimension) % 2, 1.0, -1.2)
    return Objective(value, gradient, hessian, minima, 0.0, cube(2.048, dimension), start)


def beale() -> Objective:
    """(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2: steep at the corners.

    Beale 1958. The start (1, 1) is that of Moré, Garbow and Hillstrom 1981, "Testing unconstrained
    optimization software".
    """

    def residuals(x: Any, y: Any) -> tuple[Any, Any, Any]:
        return 1.5 - x * (1 - y), 2.25 - x * (1 - y**2), 2.625 - x * (1 - y**3)

    def value(x: Any, y: Any) -> Any:
        a, b, c = residuals(x, y)
        return a**2 + b**2 + c**2

    def first(x: Any, y: Any) -> tuple[Any, Any]:
        a, b, c = residuals(x, y)
        by_x = 2 * (a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1))
        return by_x, 2 * x * (a + 2 * b * y + 3 * c * y**2)

    def second(x: Any, y: Any) -> tuple[Any, Any, Any]:
        a, b, c = residuals(x, y)
        once, twice, thrice = y - 1, y**2 - 1, y**3 - 1
        mixed = a + 2 * b * y + 3 * c * y**2 + x * (once + 2 * y * twice + 3 * y**2 * thrice)
        by_y = x + 2 * b + 6 * c * y + x * y**2 * (4 + 9 * y**2)
        return 2 * (once**2 + twice**2 + thrice**2), 2 * mixed, 2 * x * by_y

    return _of_two(value, first, second, [[3.0, 0.5]], 0.0, 4.5, [1.0, 1.0])


def himmelblau() -> Objective:
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2: four minima of the same depth.

    Himmelblau 1972, "Applied Nonlinear Programming". The start (0, 0) is near the maximum that
    lies between the four; plain gradient descent comes from it to (3, 2).
    """

    def value(x: Any, y: Any) -> Any:
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2

    def first(x: Any, y: Any) -> tuple[Any, Any]:
        a, b = x**2 + y - 11, x + y**2 - 7
        return 4 * x * a + 2 * b, 2 * a + 4 * y * b

    def second(x: Any, y: Any) -> tuple[Any, Any, Any]:
        return 12 * x**2 + 4 * y - 42, 4 * (x + y), 12 * y**2 + 4 * x - 26

    minima = [  # the published digits, and Newton's method from there in 50 decimals
        [3.0, 2.0],
        [-2.805118086952745, 3.131312518250573],
        [-3.779310253377747, -3.2831859912861696],
        [3.5844283403304917, -1.8481265269644036],
    ]
    return _of_two(value, first, second, minima, 0.0, 5.0, [0.0, 0.0])


def rastrigin(*, dimension: int = 2) -> Objective:
    """10 n + sum of w^2 - 10 cos(2 pi w): a bowl with a local minimum near each whole point.

    Rastrigin 1974 for two parameters; Mühlenbein, Schomisch and Born 1991 for more, and the
    region. The start (-2, 3.5), repeated for more, is that of the pictures of jettify's
    pytorch-optimizer. At a rate below 2 / (2 + 40 pi^2) = 0.005 plain gradient descent ends in the
    local minimum next to it.
    """
    require_dimension(dimension, 1)

    def term(w: Any) -> Any:
        return w**2 + 20 * _library(w).sin(math.pi * w) ** 2  # 1 - cos(2 a) = 2 sin(a)^2

    def first(w: Any) -> Any:
        return 2 * w + 20 * math.pi * np.sin(2 * math.pi * w)

    def second(w: Any) -> Any:
        return 2 + 40 * math.pi**2 * np.cos(2 * math.pi * w)

    start = np.where(np.arange(dimension) % 2, 3.5, -2.0)
    return _of_each(term, first, second, 0.0, 0.0, 5.12, start)


def styblinski_tang(*, dimension: int = 2) -> Objective:
    """Sum of (w^4 - 16 w^2 + 5 w) / 2: two minima for each parameter, the negative one deeper.

    Styblinski and Tang 1990. The start 0 is on the deeper one's side of the maximum at 0.157.
    """
    require_dimension(dimension, 1)

    def term(w: Any) -> Any:
        return (w**4 - 16 * w**2 + 5 * w) / 2

    def first(w: Any) -> Any:
        return 2 * w**3 - 16 * w + 2.5

    def second(w: Any) -> Any:
        return 6 * w**2 - 16

    # The root of 4 w^3 - 32 w + 5 by Newton's method in 50 decimals, and the term there.
    lowest, least = -2.903534027771177, -39.16616570377141
    return _of_each(term, first, second, lowest, least, 5.0, np.zeros(dimension))


def saddle() -> Objective:
    """x^2 / 2 + y^4 / 4 - y^2 / 2: a saddle at 0, between the minima (0, 1) and (0, -1).

    Nesterov 2004, "Introductory Lectures on Convex Optimization", 1.2.3, where gradient descent
    from (1, 0) ends at the saddle. The start here is off that line by 0.01: descent slows near
    the saddle, and leaves it for (0, 1). The region, 2 each way, is ours.
    """

    def value(x: Any, y: Any) -> Any:
        return x**2 / 2 + y**4 / 4 - y**2 / 2

    def first(x: Any, y: Any) -> tuple[Any, Any]:
        return x, y**3 - y

    def second(x: Any, y: Any) -> tuple[Any, Any, Any]:
        return 1, 0, 3 * y**2 - 1

    return _of_two(value, first, second, [[0.0, 1.0], [0.0, -1.0]], -0.25, 2.0, [1.0, 0.01])


def ackley(*, dimension: int = 2) -> Objective:
    """20 - 20 exp(-r / 5) + e - exp(mean(cos(2 pi w))), r the root of mean(w^2): a pitted funnel.

    Ackley 1987 for two parameters; Bäck 1996 for more. The region is 5 each way, about the funnel;
    the survey's is 35. The start, 0.5 for each parameter, is ours: in the minimum's own basin.

    The minimum, 0, is the tip of a cone, where r has no derivative. By hand, gradient and Hessian
    take those of r's term as 0 there, and so does PyTorch. Just beside it the gradient's norm is
    still 4 / sqrt(n), so at a fixed rate plain gradient descent ends hopping about the tip.
    """
    require_dimension(dimension, 1)

    def value(w: Any) -> Any:
        of = _library(w)
        square = (w**2).mean(-1)
        inside = square > 0
        radius = of.where(inside, of.where(inside, square, 1) ** 0.5, 0)  # whose slope is finite
        below = -2 * (of.sin(math.pi * w) ** 2).mean(-1)  # mean(cos(2 pi w)) - 1
        return -20 * of.expm1(-radius / 5) - math.e * of.expm1(below)

    def parts(w: Array) -> tuple[Array, Array, Array, Array]:
        """The unit w / radius and 1 / radius, both 0 at the tip; n times the terms' slopes."""
        radius = np.sqrt((w**2).mean(axis=-1, keepdims=True))
        inverse = np.where(radius > 0, 1 / np.where(radius > 0, radius, 1), 0)
        cone = 4 * np.exp(-radius / 5)
        wave = 2 * math.pi * np.exp(np.cos(2 * math.pi * w).mean(axis=-1, keepdims=True))
        return w * inverse, inverse, cone, wave

    def gradient(w: Array) -> Array:
        unit, _, cone, wave = parts(w)
        made: Array = (cone * unit + wave * np.sin(2 * math.pi * w)) / dimension
        return made

    def hessian(w: Array) -> Array:
        unit, inverse, cone, wave = parts(w)
        sine, cosine = np.sin(2 * math.pi * w), np.cos(2 * math.pi * w)
        own = _diagonal(cone * inverse + 2 * math.pi * wave * cosine)
        funnel = (cone * (0.2 + inverse) * unit)[..., None] * unit[..., None, :]
        pits = (2 * math.pi * wave * sine)[..., None] * sine[..., None, :]
        made: Array = (own - (funnel + pits) / dimension) / dimension
        return made

    minima, start = np.zeros((1, dimension)), np.full(dimension, 0.5)
    return Objective(value, gradient, hessian, minima, 0.0, cube(5.0, dimension), start)


def require_dimension(dimension: int, least: int) -> None:
    """Refuse what is no whole number, or too small a one."""
    whole = isinstance(dimension, int) and not isinstance(dimension, bool)
    if not whole or dimension < least:
        raise BadValue("dimension", expected=f"a whole number of {least} or more", got=dimension)


def cube(edge: float, dimension: int) -> Array:
    """(2, dimension), float64: the corners of what lies within `edge` of 0 along each axis."""
    return np.outer([-edge, edge], np.ones(dimension))


def _library(w: Any) -> Any:
    """NumPy, or where w is PyTorch's, PyTorch: that is imported already."""
    return np if isinstance(w, np.ndarray | np.generic) else sys.modules["torch"]


def _of_two(
    value: Callable[[Any, Any], Any],
    first: Callable[[Any, Any], tuple[Any, Any]],
    second: Callable[[Any, Any], tuple[Any, Any, Any]],
    minima: list[list[float]],
    least: float,
    edge: float,
    start: list[float],
) -> Objective:
    """A function of x and y, its derivatives by x and y, and by xx, xy and yy."""

    def gradient(w: Array) -> Array:
        made = np.empty_like(w)
        made[..., 0], made[..., 1] = first(w[..., 0], w[..., 1])
        return made

    def hessian(w: Array) -> Array:
        made = np.empty((*w.shape, 2), w.dtype)
        xx, xy, yy = second(w[..., 0], w[..., 1])
        made[..., 0, 0], made[..., 0, 1], made[..., 1, 0], made[..., 1, 1] = xx, xy, xy, yy
        return made

    def of_w(w: Any) -> Any:
        return value(w[..., 0], w[..., 1])

    return Objective(
        of_w, gradient, hessian, np.array(minima), least, cube(edge, 2), np.array(start)
    )


def _of_each(
    term: Callable[[Any], Any],
    first: Callable[[Any], Any],
    second: Callable[[Any], Any],
    lowest: float,
    least: float,
    edge: float,
    start: Array,
) -> Objective:
    """The sum of one term of each parameter, which is `least` at `lowest`."""
    dimension = len(start)
    return Objective(
        lambda w: term(w).sum(-1),
        first,
        lambda w: _diagonal(second(w)),
        np.full((1, dimension), lowest),
        dimension * least,
        cube(edge, dimension),
        start,
    )


def _diagonal(entries: Array) -> Array:
    """(..., n, n): matrices with these (..., n) on their diagonals."""
    made = np.zeros((*entries.shape, entries.shape[-1]), entries.dtype)
    i = np.arange(entries.shape[-1])
    made[..., i, i] = entries
    return made
