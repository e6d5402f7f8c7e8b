"""Detectors out of training: export to ONNX, verdicts on photographs with or without torch."""
