"""Detectors of others: ONNX files, and a YAML file that says how they are fed and read. Imports no torch."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anrl.deploy.contract import Contract, Limits, Threshold
from anrl.deploy.crop import CropRule, Region
from anrl.deploy.detector import Member
from anrl.deploy.onnx_network import open_session
from anrl.deploy.resize import resize_linear
from anrl.errors import ConfigError, DataError


@dataclass(frozen=True)
class Description:
    """A model of others: how its networks are fed, and which of their outputs is P(attack)."""

    networks: list[dict[str, Any]]
    """``file``, relative to the description, and the crop that this network sees: ``crop`` and ``margin``, as
    in :class:`anrl.deploy.CropRule`. The scores of several networks are averaged."""
    size: list[int]
    """Width and height of the input."""
    name: str = ""
    color: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    """Multiplies the levels 0..255, before the mean is subtracted and the result divided by ``std``."""
    mean: list[float] = field(default_factory=lambda: [0.0])
    """One number, or three in the order of ``color``."""
    std: list[float] = field(default_factory=lambda: [1.0])
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    output: str | None = None
    """Name of the output, (N, classes); by default the first."""
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    """What makes probabilities of the output."""
    attack: list[int] | None = None
    """Classes whose probabilities together are P(attack); or ``bona_fide``."""
    bona_fide: list[int] | None = None
    """Classes whose probabilities together are 1 - P(attack)."""
    threshold: dict[str, Any] | None = None
    """``value``, ``criterion`` and ``data`` of :class:`anrl.deploy.Threshold`."""
    limits: dict[str, Any] = field(default_factory=dict)
    """Limits of the input; see :class:`anrl.deploy.Limits`."""


def shipped_descriptions() -> dict[str, Path]:
    """Descriptions of public detectors by name, to be copied beside their weights, which are not here."""
    folder = Path(__file__).parent / "descriptions"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load_description(path: Path) -> tuple[list[Member], Contract]:
    """Load the networks of a description, and try each once.

    Raises:
        ConfigError: PyYAML or onnxruntime is not installed.
        DataError: the description or a model cannot be read, or they do not fit each other.
    """
    description = read_description(path)
    members = []
    for number, entry in enumerate(description.networks):
        key = f"networks[{number}]"
        unknown = set(entry) - {"file", "crop", "margin"}
        if unknown or not isinstance(entry.get("file"), str):
            raise DataError(
                f"{key}: has file, crop and margin, not {', '.join(sorted(entry)) or 'nothing'}",
                path=str(path),
            )
        try:
            crop = CropRule(entry.get("crop", "whole"), entry.get("margin", 0.0))
        except (TypeError, ValueError) as error:
            raise DataError(f"{key}: {error}", path=str(path)) from None
        members.append(Member(ForeignNetwork(description, path, entry["file"]), crop))
    try:
        threshold = Threshold(**description.threshold) if description.threshold else None
        limits = Limits(**description.limits)
    except (TypeError, ValueError) as error:
        raise DataError(f"threshold or limits: {error}", path=str(path)) from None
    return members, Contract(threshold, limits, notes={"name": description.name or path.stem})


def read_description(path: Path) -> Description:
    """Read a description.

    Raises:
        ConfigError: PyYAML is not installed.
        DataError: the file is no YAML mapping, or a key is unknown, missing or has a wrong value.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigError(f"{path}: descriptions need PyYAML; run `pip install pyyaml`") from None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"not a readable YAML file ({' '.join(str(error).split())})", path=str(path)
        ) from None
    if not isinstance(content, dict):
        raise DataError("describes no model: it must have the keys networks and size", path=str(path))
    try:
        return _checked(content)
    except (TypeError, ValueError) as error:
        raise DataError(str(error), path=str(path)) from None


def _checked(content: Mapping[str, Any]) -> Description:
    names = [part.name for part in fields(Description)]
    for key in content:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            raise ValueError(f"unknown key {key!r}{hint}")
    if missing := [key for key in ("networks", "size") if key not in content]:
        raise ValueError(f"the key {missing[0]!r} is missing")
    values = dict(content)
    for key in ("mean", "std"):
        if isinstance(values.get(key), int | float):
            values[key] = [values[key]]
    choices = {
        "color": ("RGB", "BGR"),
        "layout": ("NCHW", "NHWC"),
        "activation": ("softmax", "sigmoid", "none"),
    }
    for key, allowed in choices.items():
        if values.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} must be one of {', '.join(allowed)}, not {values[key]!r}")
    networks = values["networks"]
    if not isinstance(networks, list) or not networks or not all(isinstance(n, dict) for n in networks):
        raise ValueError("networks must be a list of mappings with file, crop and margin")
    _check_numbers("size", values["size"], (2,), lambda side: isinstance(side, int) and side > 0)
    for key in ("mean", "std"):
        if key in values:
            _check_numbers(key, values[key], (1, 3), lambda v: key == "mean" or v != 0)  # noqa: B023
    _check_numbers("scale", [values.get("scale", 1.0)], (1,), lambda v: v != 0)
    classes = [key for key in ("attack", "bona_fide") if values.get(key) is not None]
    if len(classes) != 1:
        raise ValueError("give the classes of one side, either 'attack' or 'bona_fide'")
    sides = values[classes[0]]
    if not isinstance(sides, list) or not sides or not all(type(c) is int and c >= 0 for c in sides):
        raise ValueError(f"{classes[0]} must be a list of indices of classes, not {sides!r}")
    for key in ("threshold", "limits"):
        if values.get(key) is not None and not isinstance(values[key], dict):
            raise ValueError(f"{key} must be a mapping, not {values[key]!r}")
    return Description(**{key: value for key, value in values.items() if value is not None})


def _check_numbers(key: str, values: Any, lengths: tuple[int, ...], is_right: Any) -> None:
    numbers = isinstance(values, list) and all(type(v) in (int, float) and is_right(v) for v in values)
    if not numbers or len(values) not in lengths:
        raise ValueError(f"{key} must have {' or '.join(map(str, lengths))} fitting numbers, not {values!r}")


class ForeignNetwork:
    """A network of others as its description feeds and reads it.

    Args:
        description: The description.
        path: Its file.
        file: The ONNX file, relative to it.

    Raises:
        ConfigError: onnxruntime is not installed.
        DataError: the model cannot be read, or the description does not fit it.
    """

    def __init__(self, description: Description, path: Path, file: str) -> None:
        self._description = description
        self._path = path.parent / file
        self._session = open_session(self._path)
        inputs = self._session.get_inputs()
        outputs = [entry.name for entry in self._session.get_outputs()]
        self._output = description.output or outputs[0]
        if self._output not in outputs:
            self._misfit(f"output {self._output!r}", f"the outputs {', '.join(outputs)}")
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(uint8)"):
            self._misfit("one image of float32 or uint8", f"{len(inputs)} inputs of {inputs[0].type}")
        plain = (description.scale, *description.mean, *description.std) == (1.0, 0.0, 1.0)
        if inputs[0].type == "tensor(uint8)" and not plain:
            self._misfit("a scale, mean or std", "an input of uint8, which takes levels as they are")
        self._input = inputs[0].name
        self._dtype = np.float32 if inputs[0].type == "tensor(float)" else np.uint8
        width, height = description.size
        shape = [None, 3, height, width] if description.layout == "NCHW" else [None, height, width, 3]
        fixed = [side if isinstance(side, int) else None for side in inputs[0].shape]
        pairs = zip(shape[1:], fixed[1:], strict=False)
        if len(fixed) != 4 or any(side not in (None, wanted) for wanted, side in pairs):
            self._misfit(f"size {width} x {height} in {description.layout}", f"an input {inputs[0].shape}")
        for level in (0, 127, 255):
            self(np.full((height, width, 3), level, np.uint8), (0, 0, width, height))

    def _misfit(self, described: str, present: str) -> None:
        raise DataError(
            f"the description says {described}, but the model has {present}", path=str(self._path)
        )

    def __call__(self, image: NDArray[np.uint8], region: Region) -> float:
        """Score a region of an image (H, W, 3)."""
        description = self._description
        left, top, right, bottom = region
        levels = resize_linear(image[top:bottom, left:right], *description.size)
        if description.color == "BGR":
            levels = levels[..., ::-1]
        values: NDArray[Any] = levels.astype(np.float32) * np.float32(description.scale)
        values = (values - np.array(description.mean, np.float32)) / np.array(description.std, np.float32)
        if description.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        batch = np.ascontiguousarray(values[None], self._dtype)
        try:
            (output,) = self._session.run([self._output], {self._input: batch})
        except Exception as error:  # onnxruntime's exceptions have no common base
            first = str(error).strip().splitlines()[0]
            raise DataError(f"does not run as described ({first})", path=str(self._path)) from None
        return self._attack(np.asarray(output, np.float64))

    def _attack(self, output: NDArray[np.float64]) -> float:
        description = self._description
        classes = description.attack if description.attack is not None else description.bona_fide
        assert classes is not None
        if output.ndim != 2 or len(output) != 1 or output.shape[1] <= max(classes):
            self._misfit(f"classes {classes}", f"an output of shape {output.shape}")
        values = output[0]
        if not np.isfinite(values).all():
            raise DataError("its output is not finite", path=str(self._path))
        if description.activation == "softmax":
            values = np.exp(values - np.max(values))
            values /= np.sum(values)
        elif description.activation == "sigmoid":
            values = np.exp(-np.logaddexp(0, -values))
        probability = float(values[classes].sum())
        if not -1e-3 <= probability <= 1 + 1e-3:
            self._misfit(
                f"activation {description.activation}",
                f"values that add up to {probability:.3g}, no probability",
            )
        return probability if description.attack is not None else 1 - probability
