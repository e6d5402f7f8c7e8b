"""Parameter names of the official implementation (Tencent/TFace, Face-Anti-Spoofing/ANRL) and ours."""

import re
from collections.abc import Mapping

from torch import Tensor

# Each pair is (official, ours) as templates; {i} counts from 1 there and from 0 here.
_PLACES = [
    ("FeatExtractor.inc", "extractor.stem"),
    ("FeatExtractor.down{i}.conv_block{j}", "extractor.stages.{i}.{j}"),
    ("Classifier.conv_block{i}", "classifier.blocks.{i}"),
    ("DepthEstmator.conv_block{i}", "depth_estimator.{i}"),
    ("Classifier.fc", "classifier.fc"),
]
_LEAVES = [
    ("conv.", "conv."),
    ("IN.weight", "norm.instance_weight"),
    ("IN.bias", "norm.instance_bias"),
    ("AttentionNet.", "norm.gate.fc."),
    ("AttentionNet_fc1.", "norm.gate.fc1."),
    ("AttentionNet_fc2.", "norm.gate.fc2."),
    ("BN.", "norm."),
    ("", ""),
]


def tface_to_anrl(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of an official checkpoint for :class:`anrl.models.ANRLNet`.

    A prefix ``module.`` (DistributedDataParallel) is dropped. Names of a bare conv block (``conv.weight``,
    ``BN.weight``, …) map to those of :class:`anrl.models.ConvBlock`.

    Raises:
        KeyError: a name is not one of the official network's.
    """
    return {_rename(name.removeprefix("module."), 0): tensor for name, tensor in state_dict.items()}


def anrl_to_tface(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`tface_to_anrl`.

    Raises:
        KeyError: a name has no counterpart in the official network.
    """
    return {_rename(name, 1): tensor for name, tensor in state_dict.items()}


def _rename(name: str, side: int) -> str:
    """Rename from side 0 (official) to 1 (ours) or back."""
    step = -1 if side == 0 else 1
    place, leaf = "", name
    for pair in _PLACES:
        pattern = re.escape(pair[side]).replace(r"\{", "{").replace(r"\}", "}")
        pattern = pattern.replace("{i}", r"(?P<i>\d+)").replace("{j}", r"(?P<j>\d+)")
        if match := re.match(pattern + r"\.", name):
            counts = {key: int(value) + step for key, value in match.groupdict().items()}
            place, leaf = pair[1 - side].format(**counts) + ".", name[match.end() :]
            break
    is_linear = place.startswith("classifier.fc") or place.startswith("Classifier.fc")
    for pair in _LEAVES:
        if leaf.startswith(pair[side]) and (pair[side] or is_linear):
            return place + pair[1 - side] + leaf[len(pair[side]) :]
    raise KeyError(f"{name!r} is not a parameter name of {('the official network', 'ANRLNet')[side]}")
