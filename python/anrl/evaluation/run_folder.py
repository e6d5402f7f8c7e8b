"""Names of the files in the folder of a run."""

HELD_OUT_SCORES = "held_out_scores.csv"
"""Scores of the best checkpoint on held-out source frames; thresholds come from them."""
