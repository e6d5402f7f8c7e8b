"""Weights from files."""

import pytest
import safetensors.torch
import torch
from torch import nn

from anrl.errors import DataError
from anrl.models import read_weights
from anrl.models.weights import load_weights


class Payload:
    """Anything but a tensor."""


@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: {"state_dict": d, "epoch": 3}, lambda d: {"model": d}]
)
def test_torch_files(tmp_path, wrap):
    tensors = nn.Linear(2, 3).state_dict()
    torch.save(wrap({f"module.{name}": tensor for name, tensor in tensors.items()}), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert weights.keys() == tensors.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in tensors.items())


def test_safetensors(tmp_path):
    safetensors.torch.save_file({"module.a": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["a"], torch.ones(2))


def test_unreadable_files(tmp_path):
    pickled = tmp_path / "pickled.pth"
    torch.save({"weight": Payload()}, pickled)
    with pytest.raises(DataError, match=r"model\.state_dict\(\)") as error:
        read_weights(pickled)
    assert error.value.path == str(pickled)
    for name, content in {
        "empty.pth": b"",
        "noise.pth": b"PK\x03\x04 noise",
        "noise.safetensors": b"noise noise",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as error:
            read_weights(tmp_path / name)
        assert error.value.path == str(tmp_path / name)
    for name in ("none.pth", "none.safetensors"):
        with pytest.raises(DataError, match="cannot be read"):
            read_weights(tmp_path / name)
    for content in (torch.ones(2), {}, {"weight": 1}):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(DataError, match="no state dict"):
            read_weights(tmp_path / "w.pth")


def test_differences_are_named_and_nothing_is_loaded():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors = {name: tensor + 1 for name, tensor in before.items()}
    tensors["0.weight"] = torch.zeros(4, 2)
    tensors["2.weight"] = tensors.pop("1.weight")
    with pytest.raises(DataError) as error:
        load_weights(model, tensors, "w.pth")
    assert str(error.value) == (
        "w.pth: the weights belong to another architecture: missing 1.weight; unknown 2.weight; "
        "another shape of 0.weight (4, 2) instead of (3, 2)"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_old_files_lack_num_batches_tracked():
    model = nn.BatchNorm2d(3)
    tensors = {name: torch.full((3,), 0.5) for name in ("weight", "bias", "running_mean", "running_var")}
    load_weights(model, tensors, "w.pth")
    assert torch.equal(model.running_var, torch.full((3,), 0.5))
