"""Detectors out of training: export to ONNX, and verdicts on photographs, with or without torch.

``from anrl.deploy import Detector`` imports neither torch nor anything else but numpy, Pillow and, once an
exported model is loaded, onnxruntime. Other names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from anrl.lazy import lazy_names

if TYPE_CHECKING:
    from anrl.deploy.calibration import calibrate
    from anrl.deploy.contract import Contract, Limits, Threshold
    from anrl.deploy.crop import CropRule, Face
    from anrl.deploy.deployed_network import DeployedNetwork
    from anrl.deploy.detector import Detector, Prediction
    from anrl.deploy.exporting import export
    from anrl.deploy.foreign import shipped_descriptions
    from anrl.deploy.preprocessing import Preprocessing
    from anrl.deploy.scoring import detector_scores, largest_deviation, score_pack

_HOMES = {
    "Contract": "contract",
    "CropRule": "crop",
    "DeployedNetwork": "deployed_network",
    "Detector": "detector",
    "Face": "crop",
    "Limits": "contract",
    "Prediction": "detector",
    "Preprocessing": "preprocessing",
    "Threshold": "contract",
    "calibrate": "calibration",
    "detector_scores": "scoring",
    "export": "exporting",
    "largest_deviation": "scoring",
    "score_pack": "scoring",
    "shipped_descriptions": "foreign",
}

__all__ = [
    "Contract",
    "CropRule",
    "DeployedNetwork",
    "Detector",
    "Face",
    "Limits",
    "Prediction",
    "Preprocessing",
    "Threshold",
    "calibrate",
    "detector_scores",
    "export",
    "largest_deviation",
    "score_pack",
    "shipped_descriptions",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
