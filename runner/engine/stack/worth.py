"""Whether cells of one structure had better run alone: all of them together are asked."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from runner.base.failure import summary
from runner.engine.experiment import alone
from runner.engine.stack import cost
from runner.engine.stack.parts import Parts
from runner.engine.stack.program import is_closed_form, stack

SAME = {"float32": 1e-3, "float64": 1e-9}  # relative; one step differs by rounding only


def impossible(cells: Sequence[Parts]) -> str | None:
    """Why the cells, all of one structure, cannot be stacked; None if they can be.

    A module is handed to `torch.func`, which does not take all that PyTorch does: so steps are
    tried, and a prediction, on one made for that: it may have kept something from the first step.
    What is known to be right must also take the lone run's step.
    """
    first = cells[0]
    if first.setup.loop == "numpy" or is_closed_form(first):
        return None
    try:
        tried = stack(cells)
        there, _ = islice(tried.steps, 2)
        if tried.predict:
            tried.predict(tried.initial, np.arange(len(cells)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever torch.func says of a model of somebody's
        return f"PyTorch cannot stack it: {summary(error)}"
    if first.doubt:
        return None
    here = next(alone(first.setup).steps)
    near = SAME[first.setup.dtype]
    if not np.allclose(np.atleast_1d(there.loss)[0], here.loss, near, near) or not np.allclose(
        there.gradient[0], here.gradient, near, near * (1 + np.abs(here.gradient).max())
    ):
        return "a step of the stack is not that of the lone run"
    return None


def slower(cells: Sequence[Parts]) -> str | None:
    """Why the cells, all of one structure, had better run alone; None if a stack pays.

    A step of NumPy's takes the same time for one cell as for a hundred.
    """
    first = cells[0]
    if first.setup.loop == "numpy":
        return None
    samples, parameters = first.setup.batch_size or len(first.data.y), first.start.size
    units = sum(shape[0] for shape in first.tensors.values() if len(shape) > 1) or 1
    size = cost.Size(len(cells), samples, units, parameters, not is_closed_form(first))
    return cost.slower(size)
