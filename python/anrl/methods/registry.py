"""Registry of methods: every row that a results table can have, with its class, options and citation.

The table imports nothing: a method's class is imported when it is used.
"""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anrl.errors import ConfigError


@dataclass(frozen=True)
class MethodEntry:
    """A method by the name that it has in configurations, protocols and tables."""

    title: str
    """Its name in a table."""
    target: str
    """Module and class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that differ from the defaults of the class."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the network that belong to the method."""
    citation: str = ""
    """Source, if it is not the ANRL paper."""

    @property
    def is_classical(self) -> bool:
        """Whether it is a classifier of hand-made features, which is fitted and not trained in epochs."""
        return ".classical." in self.target

    def load(self) -> Any:
        """Import the class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


_ANRL = "anrl.methods.anrl:ANRL"
_ERM = "anrl.methods.erm:ERM"
_BATCH = {"norm": "batch"}

METHODS: dict[str, MethodEntry] = {
    "anrl": MethodEntry("ANRL", _ANRL),
    "bn": MethodEntry(
        "batch norm, with depth",
        _ERM,
        model=_BATCH,
        citation="Liu, Jourabloo, Liu: Learning deep models for face anti-spoofing, CVPR 2018 (auxiliary "
        "depth)",
    ),
    "binary": MethodEntry(
        "batch norm, binary",
        _ERM,
        {"depth_weight": 0.0},
        _BATCH,
        "Yang, Lei, Li: Learn convolutional neural network for face anti-spoofing, 2014 (binary CNN)",
    ),
    "in": MethodEntry("instance norm", _ERM, model={"norm": "instance"}),
    "adaptive": MethodEntry("adaptive norm only", _ERM, model={"norm": "adaptive"}),
    "no-meta": MethodEntry("ANRL without meta-learning", _ANRL, {"meta_learning": False}),
    "no-calibration": MethodEntry(
        "ANRL without calibration", _ANRL, {"inter_domain_weight": 0.0, "inter_class_weight": 0.0}
    ),
    "no-inter-domain": MethodEntry("ANRL without inter-domain loss", _ANRL, {"inter_domain_weight": 0.0}),
    "no-inter-class": MethodEntry("ANRL without inter-class loss", _ANRL, {"inter_class_weight": 0.0}),
    "no-depth": MethodEntry("ANRL without depth", _ANRL, {"depth_weight": 0.0}),
    "joint-statistics": MethodEntry("ANRL, joint statistics", _ANRL, {"batch_statistics": "joint"}),
    "first-order": MethodEntry("ANRL, first order", _ANRL, {"first_order": True}),
    "official": MethodEntry(
        "ANRL with the official code's gradient", _ANRL, {"detach_base": True, "center_init": "ones"}
    ),
    "mmd": MethodEntry(
        "MMD alignment",
        "anrl.methods.mmd:MMD",
        model=_BATCH,
        citation="after Li, Pan, Wang, Kot: Domain generalization with adversarial feature learning, CVPR "
        "2018",
    ),
    "ssdg": MethodEntry(
        "SSDG",
        "anrl.methods.ssdg:SSDG",
        model=_BATCH,
        citation="Jia, Zhang, Shan, Chen: Single-side domain generalization for face anti-spoofing, CVPR "
        "2020",
    ),
    "rfm": MethodEntry(
        "RFM, whole network",
        "anrl.methods.rfm:RFM",
        model=_BATCH,
        citation="after Shao, Lan, Yuen: Regularized fine-grained meta face anti-spoofing, AAAI 2020",
    ),
    "ms-lbp": MethodEntry(
        "MS-LBP + SVM",
        "anrl.methods.classical.texture:MultiScaleLBP",
        citation="Määttä, Hadid, Pietikäinen: Face spoofing detection from single images using micro-texture "
        "analysis, IJCB 2011",
    ),
    "color-texture": MethodEntry(
        "color texture + SVM",
        "anrl.methods.classical.texture:ColorTexture",
        citation="Boulkenafet, Komulainen, Hadid: Face anti-spoofing based on color texture analysis, ICIP "
        "2015",
    ),
    "low-level": MethodEntry("low-level cues", "anrl.methods.classical.low_level:LowLevelStatistics"),
}
"""All methods, in the order of a table's rows."""


def find_method(name: str) -> MethodEntry:
    """Look a method up by its name.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(METHODS)}"
        raise ConfigError(f"no method {name}; {hint}", key="method.name")
    return METHODS[name]
