"""Evaluation of trained networks on domains, at thresholds from validation data; files of runs and scores.

Names are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

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
    "Evaluation": "anrl.metrics",
    "EvaluationFolder": "anrl.evaluation.run_folder",
    "RunFolder": "anrl.evaluation.run_folder",
    "Split": "anrl.evaluation.splits",
    # The module is not called evaluate: importing it would hide the function.
    "evaluate": "anrl.evaluation.evaluate_checkpoint",
    "evaluate_scores": "anrl.metrics",
    "open_domains": "anrl.evaluation.splits",
    "read_scores": "anrl.evaluation.score_files",
    "read_validation_scores": "anrl.evaluation.score_files",
    "score_domain": "anrl.evaluation.score",
    "split_sources": "anrl.evaluation.splits",
    "write_bob_scores": "anrl.evaluation.score_files",
    "write_scores": "anrl.evaluation.score_files",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'anrl.evaluation' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
