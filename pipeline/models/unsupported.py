"""Networks that cannot be explained: parameters without values, and quantised layers, which have no gradient."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

IN_FLOATING_POINT = "has no gradient: return the network in floating point"


def unsupported(network: nn.Module) -> str | None:
    """Returns why a network cannot be explained, and what to do, in one line; None if nothing is known."""
    scripts: list[str] = []  # names of the TorchScript programs, whose parts have no graph of their own
    for name, module in network.named_modules():
        layer = f"its layer {name} ({type(module).__name__})" if name else type(module).__name__
        if isinstance(module, torch.jit.ScriptModule) and not name.startswith(tuple(scripts)):
            scripts.append(f"{name}." if name else "")
            if problem := _script_problem(module):
                return f"{layer} {problem}"
        if "quantized" in type(module).__module__.split("."):
            return f"{layer} is quantised and {IN_FLOATING_POINT}"
        if problem := _values_problem(module):
            return f"{layer} {problem}"
    other = next((name for name, value in network.state_dict().items() if not isinstance(value, Tensor)), None)
    return other and f"its state has {other}, which is no tensor: return a network whose state dict has tensors alone"


def _script_problem(script: "torch.jit.ScriptModule") -> str | None:
    if "quantized::" in str(script.inlined_graph):
        return f"is TorchScript with quantised operations and {IN_FLOATING_POINT}"
    if not script.state_dict():
        return "is frozen TorchScript, without weights that a run could be known by: return it before torch.jit.freeze"
    return None


def _values_problem(module: nn.Module) -> str | None:
    """Problem of the tensors that a module itself has."""
    parameters = dict(module.named_parameters(recurse=False))
    for name, tensor in [*parameters.items(), *module.named_buffers(recurse=False)]:
        if is_lazy(tensor):
            return (
                f"is lazy, its {name} has no shape yet: evaluate the network once where it is built, "
                "network(torch.zeros(1, 3, 224, 224))"
            )
        if tensor.is_meta:
            return f"has no values in {name} (device meta): load its weights where it is built"
        if tensor.is_quantized or (name in parameters and not (tensor.is_floating_point() or tensor.is_complex())):
            return f"is quantised ({name} is {tensor.dtype}) and {IN_FLOATING_POINT}"
    return None
