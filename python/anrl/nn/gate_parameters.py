"""Parameters of the gates of a model."""

from torch import nn

from anrl.nn.adaptive_norm import AdaptiveNorm


def gate_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Collect the parameters of all gates in a model.

    Args:
        model: Any module. Without adaptive normalization the result is empty.

    Returns:
        The parameters by their names in ``model``, in the order of ``model.named_parameters()``: what
        :func:`torch.func.functional_call` takes.
    """
    parameters = {
        parameter
        for module in model.modules()
        if isinstance(module, AdaptiveNorm)
        for parameter in module.gate.parameters()
    }
    return {name: parameter for name, parameter in model.named_parameters() if parameter in parameters}
