"""Networks in ONNX files, run by onnxruntime; imports no torch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anrl.deploy.contract import from_metadata
from anrl.deploy.crop import Region
from anrl.errors import ConfigError, DataError


def open_session(path: Path) -> Any:
    """Open an ONNX file.

    Raises:
        ConfigError: onnxruntime is not installed.
        DataError: the file is missing or damaged, or needs a newer onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            f"{path}: ONNX files need onnxruntime, which is not installed; run `pip install onnxruntime`"
        ) from None
    if not path.is_file():
        raise DataError("there is no such file", path=str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception for every kind of damage, without a common base
        raise DataError(f"not a readable ONNX file ({_first_line(error)})", path=str(path)) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class ExportedNetwork:
    """A network that :func:`anrl.deploy.export` wrote, preprocessing included.

    Args:
        path: The ONNX file.

    Raises:
        ConfigError: onnxruntime is not installed.
        DataError: the file is damaged, or is not an export of this version of anrl.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session = open_session(path)
        self.contract = from_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        inputs = {entry.name: (entry.type, len(entry.shape)) for entry in self._session.get_inputs()}
        self._takes_box = "box" in inputs
        expected = {"image": ("tensor(uint8)", 4)}
        if self._takes_box:
            expected["box"] = ("tensor(int64)", 2)
        if inputs != expected or "score" not in [entry.name for entry in self._session.get_outputs()]:
            raise DataError(
                "its inputs or outputs are not those of an export with a score; export the checkpoint again",
                path=str(path),
            )

    def __call__(self, image: NDArray[np.uint8], region: Region) -> float:
        """Score a region of an image (H, W, 3)."""
        left, top, right, bottom = region
        if self._takes_box:
            inputs = {"image": np.ascontiguousarray(image)[None], "box": np.array([region], np.int64)}
        else:
            inputs = {"image": np.ascontiguousarray(image[top:bottom, left:right])[None]}
        (score,) = self._session.run(["score"], inputs)
        return float(score[0])
