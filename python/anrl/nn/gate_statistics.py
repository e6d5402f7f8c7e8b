"""Mean weights of the gates over a data set."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from anrl.nn.adaptive_norm import AdaptiveNorm
from anrl.nn.modes import evaluation_mode


@torch.no_grad()
def gate_statistics(model: nn.Module, loader: Iterable[Any]) -> dict[str, Tensor]:
    """Average the weight of the batch branch, of every adaptive normalization layer and channel.

    The model runs in evaluation mode and is left as it was.

    Args:
        model: A network with adaptive normalization layers.
        loader: Batches: inputs of the model, or tuples that begin with them, or objects that have them as
            ``image``. They are moved to the device of the model's first parameter.

    Returns:
        For every layer, by its name in the model, the mean of g over all samples: (C,), on the CPU.

    Raises:
        ValueError: there is no such layer, or no batch.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, AdaptiveNorm)}
    if not layers:
        raise ValueError("the model has no adaptive normalization layer")
    device = next(model.parameters()).device
    before = {layer: (layer.record_gate, layer.last_gate) for layer in layers.values()}
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def add(name: str, layer: AdaptiveNorm) -> None:
        if layer.last_gate is not None:
            sums[name] = sums.get(name, 0) + layer.last_gate.double().sum(0).cpu()
            counts[name] += len(layer.last_gate)

    handles = [
        layer.register_forward_hook(lambda layer, _inputs, _output, name=name: add(name, layer))
        for name, layer in layers.items()
    ]
    try:
        for layer in layers.values():
            layer.record_gate = True
        with evaluation_mode(model):
            for batch in loader:
                inputs = batch if isinstance(batch, Tensor) else getattr(batch, "image", None)
                model((batch[0] if inputs is None else inputs).to(device))
    finally:
        for handle in handles:
            handle.remove()
        for layer, (recording, last) in before.items():
            layer.record_gate, layer.last_gate = recording, last
    if not sums:
        raise ValueError("the loader gave no batch")
    return {name: (total / counts[name]).float() for name, total in sums.items()}
