"""Losses that shape the feature space across domains."""

from anrl.losses.dual_calibration import CalibrationLosses, DualCalibration

__all__ = ["CalibrationLosses", "DualCalibration"]
