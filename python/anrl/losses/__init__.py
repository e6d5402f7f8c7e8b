"""Losses that shape the feature space across domains."""

from anrl.losses.dual_calibration import CalibrationLosses, DualCalibration
from anrl.losses.mmd import MMDLoss, squared_mmd
from anrl.losses.triplet import TripletLoss, triplet_loss

__all__ = [
    "CalibrationLosses",
    "DualCalibration",
    "MMDLoss",
    "TripletLoss",
    "squared_mmd",
    "triplet_loss",
]
