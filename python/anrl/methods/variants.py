"""The rows of a table: ANRL, what is left without each of its parts, and other methods, as configurations."""

from dataclasses import dataclass, field
from typing import Any

_NO_CALIBRATION = {"inter_domain": 0.0, "inter_class": 0.0}
_NO_META = {"enabled": False}


@dataclass(frozen=True)
class Variant:
    """A row."""

    title: str
    citation: str = ""
    """Where the method comes from, if not from the ANRL paper."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What it changes in a configuration."""


def _plain(norm: str, **changes: Any) -> dict[str, Any]:
    """One normalization throughout, and none of ANRL's losses and steps."""
    return {"model": {"norm": norm}, "meta": _NO_META, "loss": _NO_CALIBRATION} | changes


VARIANTS: dict[str, Variant] = {
    "anrl": Variant("ANRL"),
    "bn": Variant(
        "batch norm, with depth",
        "Liu, Jourabloo, Liu: Learning deep models for face anti-spoofing, CVPR 2018 (auxiliary depth)",
        _plain("batch"),
    ),
    "binary": Variant(
        "batch norm, binary",
        "Yang, Lei, Li: Learn convolutional neural network for face anti-spoofing, 2014 (binary CNN)",
        _plain("batch", loss=_NO_CALIBRATION | {"depth": 0.0}),
    ),
    "in": Variant("instance norm", settings=_plain("instance")),
    "adaptive": Variant("adaptive norm only", settings=_plain("adaptive")),
    "no-meta": Variant("ANRL without meta-learning", settings={"meta": _NO_META}),
    "no-calibration": Variant("ANRL without calibration", settings={"loss": _NO_CALIBRATION}),
    "no-inter-domain": Variant("ANRL without inter-domain loss", settings={"loss": {"inter_domain": 0.0}}),
    "no-inter-class": Variant("ANRL without inter-class loss", settings={"loss": {"inter_class": 0.0}}),
    "no-depth": Variant("ANRL without depth", settings={"loss": {"depth": 0.0}}),
    "joint-statistics": Variant("ANRL, joint statistics", settings={"meta": {"statistics": "joint"}}),
    "first-order": Variant("ANRL, first order", settings={"meta": {"first_order": True}}),
    "official": Variant(
        "ANRL with the official code's gradient",
        settings={"meta": {"detach_base": True}, "loss": {"init": "ones"}},
    ),
    "mmd": Variant(
        "MMD alignment",
        "after Li, Pan, Wang, Kot: Domain generalization with adversarial feature learning, CVPR 2018",
        _plain("batch", method={"name": "mmd"}),
    ),
    "ssdg": Variant(
        "SSDG",
        "Jia, Zhang, Shan, Chen: Single-side domain generalization for face anti-spoofing, CVPR 2020",
        _plain("batch", method={"name": "ssdg"}),
    ),
    "rfm": Variant(
        "RFM, whole network",
        "after Shao, Lan, Yuen: Regularized fine-grained meta face anti-spoofing, AAAI 2020",
        _plain("batch", method={"name": "rfm"}),
    ),
}
