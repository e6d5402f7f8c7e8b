"""Evaluation of trained networks on domains, at thresholds from validation data; files of runs and scores.

Names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from anrl.lazy import lazy_names

if TYPE_CHECKING:
    from anrl.evaluation.evaluate_checkpoint import evaluate
    from anrl.evaluation.run_folder import EvaluationFolder, RunFolder
    from anrl.evaluation.score import score_domain
    from anrl.evaluation.score_files import (
        read_scores,
        read_validation_scores,
        write_bob_scores,
        write_scores,
    )
    from anrl.evaluation.splits import Split, open_domains, split_sources
    from anrl.metrics import Evaluation, evaluate_scores

_HOMES = {
    "Evaluation": ".metrics",
    "EvaluationFolder": "run_folder",
    "RunFolder": "run_folder",
    "Split": "splits",
    # The module is not called evaluate: importing it would hide the function.
    "evaluate": "evaluate_checkpoint",
    "evaluate_scores": ".metrics",
    "open_domains": "splits",
    "read_scores": "score_files",
    "read_validation_scores": "score_files",
    "score_domain": "score",
    "split_sources": "splits",
    "write_bob_scores": "score_files",
    "write_scores": "score_files",
}

__all__ = [
    "Evaluation",
    "EvaluationFolder",
    "RunFolder",
    "Split",
    "evaluate",
    "evaluate_scores",
    "open_domains",
    "read_scores",
    "read_validation_scores",
    "score_domain",
    "split_sources",
    "write_bob_scores",
    "write_scores",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
