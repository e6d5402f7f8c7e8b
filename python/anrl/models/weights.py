"""Weights from files: reading, and loading by name."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from anrl.errors import DataError


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        path: A safetensors file (by its ending), or a file of ``torch.save``, which is read with
            ``weights_only=True``, so no code in it runs. A state dict inside a mapping under "state_dict" or
            "model" is found, and a prefix ``module.`` (DistributedDataParallel) is dropped.

    Returns:
        Tensors on the CPU by name.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except pickle.UnpicklingError:
        raise DataError(
            "not a state dict of tensors only; save `model.state_dict()` with torch.save, or use safetensors",
            path=str(path),
        ) from None
    except (OSError, SafetensorError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"cannot be read ({reason})", path=str(path)) from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise DataError("holds no state dict (names and tensors)", path=str(path))
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Load weights by name; only ``num_batches_tracked``, which older files lack, may be missing.

    Args:
        model: The model, changed in place.
        tensors: Weights, as :func:`read_weights` returns them.
        path: Their file, for the message.

    Raises:
        DataError: names or shapes differ; the message gives the first of each. Nothing is loaded then.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    unknown = [name for name in tensors if name not in own]
    shapes = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and tensor.shape != own[name].shape
    ]
    differences = [
        f"{kind} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        for kind, names in (("missing", missing), ("unknown", unknown), ("another shape of", shapes))
        if names
    ]
    if differences:
        raise DataError(
            f"the weights belong to another architecture: {'; '.join(differences)}", path=str(path)
        )
    model.load_state_dict(tensors, strict=False)
