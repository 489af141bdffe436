"""Why a cell can be in no stack, by its config alone."""

from runner import optimizer as optimizers
from runner import schedule as schedules
from runner.config.build import declared, swapped
from runner.config.spec import Spec
from runner.engine.program import CONSTANT
from runner.engine.stack.hyperparameters import rule_of


def refusal(spec: Spec) -> str | None:
    """Why a cell can be in no stack; None if its optimizer has a rule by hand that serves."""
    node = spec.optimizer
    target = str(node.get("_target_"))
    if (threads := spec.device.threads) > 1:
        return f"device.threads={threads}, and a stack computes on one thread"
    if node.get("by_hand"):
        return f"{target} is a rule of your own"
    if rule_of(target) is None:
        return f"{target} has no update rule by hand"
    by_hand = swapped(node, optimizers.BY_HAND)["_target_"]
    takes = {parameter.name for parameter in declared(by_hand) or ()}
    if strange := [key for key in node if key != "_target_" and key not in takes]:
        return f"the update rule by hand takes no {', '.join(strange)}"
    schedule = str(spec.schedule.get("_target_"))
    if schedule != CONSTANT and schedule not in schedules.BY_HAND:
        return f"{schedule} has no rule by hand"
    if spec.schedule.get("cycle_momentum"):
        return "the schedule's rule by hand cycles no momentum"
    return None
