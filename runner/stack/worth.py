"""Whether cells of one structure had better run alone: because they must, or it is faster."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from runner.experiment import alone
from runner.failure import summary
from runner.stack import cost
from runner.stack.parts import Parts
from runner.stack.program import is_closed_form, stack

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
    if not np.allclose(there.loss[0], here.loss, near, near) or not np.allclose(
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
    of = first.setup
    own_data = any(cell.data is not first.data for cell in cells)
    if of.batch_size is not None and of.shuffle is not False:  # each takes other samples
        own_data = own_data or len({cell.setup.seed for cell in cells}) > 1
    samples, parameters = of.batch_size or len(of.data.y), first.start.size
    functional = not is_closed_form(first)
    units = sum(shape[0] for shape in first.tensors.values() if len(shape) > 1) or 1
    return cost.slower(cost.Size(len(cells), samples, units, parameters, own_data, functional))
