"""The four loops, and the table that matches the parts of an experiment to one of them.

| loop      | gradient | model            | optimizer                      |
| numpy     | by_hand  | scalar or linear | by_hand, or one with a rule    |
| autograd  | autograd | scalar or linear | by_hand                        |
| optimizer | autograd | scalar           | any of `torch.optim`           |
| module    | autograd | any `nn.Module`  | any of `torch.optim`           |

An objective, which has no model, goes through the first three.

Parts are told apart by the name of their class, so that no part is imported to match it.
"""

from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner import schedule as schedules
from runner.objective.minimised import MODEL

SCALAR = "runner.model.Scalar"
LINEAR = "torch.nn.Linear"
RULES = "runner.optimizer."
SCHEDULES = "runner.schedule."
CONSTANT = "runner.schedule.constant"


def match(
    *,
    gradient: str,
    model: str,
    loss: str,
    optimizer: str,
    device: str,
    reduction: str,
    schedule: str = CONSTANT,
    rule: bool = False,
) -> str:
    """The name of the loop for these parts.

    `model`, `loss`, `optimizer` and `schedule` are names of classes, `gradient` is `by_hand` or
    `autograd`, `reduction` the loss's `gradient_reduction`, `rule` whether the optimizer is an
    update rule of somebody's own. Raises ValueError where no loop does this, with
    each reason and the nearest combination that has a loop.
    """
    is_objective = model == MODEL  # whether it has a gradient by hand, itself tells
    closed_form = is_objective or model in models.BY_HAND
    rule = rule or optimizer.startswith(RULES)
    refused = []
    if gradient == "by_hand":
        if not closed_form:
            refused.append(
                f"no gradient by hand for the model {model}: gradient=autograd with this model, "
                "or model=scalar or model=linear"
            )
        if loss not in losses.BY_HAND and not is_objective:
            refused.append(
                f"no gradient by hand for the loss {loss}: gradient=autograd with this loss, "
                f"or one of {', '.join(losses.BY_HAND)}"
            )
        if not rule and optimizer not in optimizers.BY_HAND:
            refused.append(
                f"no update by hand for the optimizer {optimizer}: gradient=autograd with this "
                f"optimizer, or optimizer=by_hand, or one of {', '.join(optimizers.BY_HAND)}"
            )
        if device not in ("cpu", "auto"):
            refused.append(
                f"NumPy computes on the CPU, not on {device!r}: device=cpu, or gradient=autograd"
            )
    else:
        if reduction != "mean":
            refused.append(
                f"autograd takes the gradient of the loss as it is, so gradient_reduction="
                f"{reduction} is for gradients by hand: gradient=by_hand, or "
                "loss.gradient_reduction=mean"
            )
        if rule and not closed_form:
            refused.append(
                f"no update by hand for the model {model}: optimizer=sgd (the same update by "
                "PyTorch), or model=scalar or model=linear"
            )
    by_hand = gradient == "by_hand" or rule
    if by_hand and not schedule.startswith(SCHEDULES) and schedule not in schedules.BY_HAND:
        refused.append(
            f"no schedule by hand for {schedule}: gradient=autograd with an optimizer of "
            f"torch.optim, or one of {', '.join(schedules.BY_HAND)}"
        )
    if refused:
        raise ValueError("\n  ".join(refused))
    if gradient == "by_hand":
        return "numpy"
    if rule:
        return "autograd"
    return "optimizer" if model in (SCALAR, MODEL) else "module"
