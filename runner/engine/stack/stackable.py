"""Which models and losses may be in a stack: functions of parameters and input, and no more.

A stack calls one module, with one loss, for all of its cells. That a module keeps nothing but its
parameters cannot be shown by calling it: it may count its calls, draw numbers, or hold some that it
has drawn. It is known of the classes that stand here.
"""

from typing import Any

from torch.nn import Module

from runner.engine import hooked

LAYERS = {
    *("Sequential", "Identity", "Flatten", "Unflatten", "Linear", "LayerNorm", "RMSNorm"),
    *("GroupNorm", "Conv1d", "Conv2d", "Conv3d", "AvgPool1d", "AvgPool2d", "MaxPool1d"),
    *("MaxPool2d", "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish"),
    *("Hardtanh", "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6"),
    *("SELU", "SiLU", "Sigmoid", "Softmax", "Softmin", "Softplus", "Softshrink", "Softsign"),
    *("Tanh", "Tanhshrink", "Threshold"),
}
"""Modules of `torch.nn` that keep nothing but their parameters and draw nothing."""

LOSSES = {
    *("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCELoss", "BCEWithLogitsLoss"),
    *("CrossEntropyLoss", "NLLLoss", "PoissonNLLLoss", "SoftMarginLoss", "HingeEmbeddingLoss"),
}
"""Losses of `torch.nn` of which that is true as well."""

ASK = "sweep.stack=true stacks it all the same, and verifies"


def doubt_of_model(name: str, network: Module) -> str | None:
    """Why the module may be more than a function of its parameters and input, if it may."""
    for path, module in network.named_modules():
        if type(module).__name__ not in LAYERS or not hooked.is_own_module(module):
            which = f"{path} in the model" if path else f"the model {name}"
            return f"{which} may keep more than its parameters; {ASK}"
    for path, parameter in network.named_parameters():
        if not parameter.requires_grad:
            return f"{path} in the model does not learn; {ASK}"
        if not hooked.is_own_parameter(parameter):
            return f"{path} in the model is hooked; {ASK}"
    if buffers := [path for path, _ in network.named_buffers()]:
        return f"the model keeps what is not a parameter: {buffers[0]}; {ASK}"
    return None


def doubt_of_loss(name: str, loss: Any) -> str | None:
    """The same of a loss."""
    known = isinstance(loss, Module) and type(loss).__name__ in LOSSES
    if not known or not hooked.is_own_module(loss):
        return f"the loss {name} may keep more than it is told; {ASK}"
    return None
