"""What adaptive normalization, which looks like batch normalization to other tools, may not be taken for."""

from typing import Any, NoReturn

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Eps(float):
    """A float that can't be added to a tensor.

    Every tool that folds batch normalization into a convolution, or freezes it into a scale and a shift,
    computes ``running_var + eps`` from a layer's attributes.
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        """Refuse."""
        raise RuntimeError(
            "adaptive normalization depends on each sample, so it can't be folded into a convolution or "
            "frozen into a scale and a shift as batch normalization can; leave its layers as they are "
            "(for arithmetic with its eps, take float(layer.eps))"
        )


def refuse_script(layer: nn.Module) -> NoReturn:
    """Say what to use in place of ``torch.jit.script``."""
    raise RuntimeError(
        f"torch.jit.script does not support {type(layer).__name__}; use torch.jit.trace, torch.export.export "
        "or torch.compile"
    )


def leaf_of_graph(layer: nn.Module, x: fx.Proxy) -> fx.Proxy:
    """Call the layer as one node of a graph that ``torch.fx`` traces, as torch's own layers are."""
    path = x.tracer.path_of_module(layer)  # type: ignore[attr-defined]  # of every tracer of modules
    if not path:
        raise RuntimeError(
            f"torch.fx takes {type(layer).__name__} as one node: trace a model that contains the layer, such "
            "as nn.Sequential(layer)"
        )
    return x.tracer.create_proxy("call_module", path, (x,), {})


def is_taken_for_batch_norm(parent: nn.Module, name: str, child: nn.Module, gate: type[nn.Module]) -> bool:
    """Whether a conversion puts the gate of an adaptive normalization into a batch normalization."""
    is_batch_norm = isinstance(parent, _BatchNorm) and name == "gate"
    return is_batch_norm and (isinstance(child, gate) or type(parent) is nn.SyncBatchNorm)
