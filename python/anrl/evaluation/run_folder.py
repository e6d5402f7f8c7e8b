"""Names of the files in the folder of a run, and in that of an evaluation."""

import os
from pathlib import Path

from anrl.atomic_io import as_file_name


class _Folder:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __fspath__(self) -> str:
        """Return the folder's path, so that it can be given wherever a path can."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class EvaluationFolder(_Folder):
    """Files that ``anrl eval`` and ``anrl metrics`` write.

    Args:
        path: The folder.
    """

    def scores(self, domain: str) -> Path:
        """Scores of a domain's frames, as CSV."""
        return self.path / f"scores_{as_file_name(domain)}.csv"

    def metrics_json(self, domain: str) -> Path:
        """All metrics of a domain, as JSON."""
        return self.path / f"metrics_{as_file_name(domain)}.json"

    def metrics_csv(self, domain: str) -> Path:
        """All metrics of a domain, as CSV: one a line."""
        return self.path / f"metrics_{as_file_name(domain)}.csv"

    @property
    def roc(self) -> Path:
        """ROC curves; :func:`anrl.plots.save_figure` adds ".png" and ".pdf"."""
        return self.path / "roc"

    @property
    def det(self) -> Path:
        """DET curves; endings as those of ``roc``."""
        return self.path / "det"

    @property
    def epc(self) -> Path:
        """Expected performance curves; endings as those of ``roc``."""
        return self.path / "epc"

    def histogram(self, domain: str) -> Path:
        """Histogram of a domain's scores; endings as those of ``roc``."""
        return self.path / f"histogram_{as_file_name(domain)}"


class RunFolder(_Folder):
    """Files that a training run writes, and those that its evaluation and its report add.

    Args:
        path: The folder: ``output_dir`` of the configuration.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """What training writes."""
        return (self.config, self.log, self.last, self.best, self.failed, self.validation_scores)

    @property
    def config(self) -> Path:
        """The resolved configuration, as YAML."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """One JSON object a line: for every step and every epoch."""
        return self.path / "log.jsonl"

    @property
    def last(self) -> Path:
        """Checkpoint to resume from."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Checkpoint with the highest AUC on validation data."""
        return self.path / "best.safetensors"

    @property
    def failed(self) -> Path:
        """Checkpoint of the state before a step whose loss or gradient was not finite."""
        return self.path / "failed.safetensors"

    @property
    def validation_scores(self) -> Path:
        """Scores of the best checkpoint on the validation frames of the sources; they set the threshold."""
        return self.path / "validation_scores.csv"

    @property
    def evaluation(self) -> EvaluationFolder:
        """Folder that ``anrl eval`` writes to by default."""
        return EvaluationFolder(self.path / "eval")

    @property
    def report(self) -> Path:
        """Page that ``anrl report`` writes by default."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """Folder of the report's figures."""
        return self.report.parent / "figures"
