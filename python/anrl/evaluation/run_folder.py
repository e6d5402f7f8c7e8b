"""The folder of a training run: the only place that knows the names of its files."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files that ``anrl train``, ``anrl eval`` and ``anrl report`` write for one run."""

    path: Path
    """The folder, ``output_dir`` of the configuration."""

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))

    @property
    def config(self) -> Path:
        """The resolved configuration, YAML."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """The log: a JSON line for every step and for every epoch."""
        return self.path / "log.jsonl"

    @property
    def last(self) -> Path:
        """The checkpoint that training goes on from."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint with the highest AUC on the validation data."""
        return self.path / "best.safetensors"

    @property
    def failed(self) -> Path:
        """The checkpoint of a step whose loss or gradient was not finite."""
        return self.path / "failed.safetensors"

    @property
    def validation_scores(self) -> Path:
        """Scores of the best checkpoint on validation frames of the sources; they set the thresholds."""
        return self.path / "validation_scores.csv"

    @property
    def evaluation(self) -> Path:
        """Folder of the scores, metrics and curves of ``anrl eval``."""
        return self.path / "eval"

    @property
    def report(self) -> Path:
        """The page of ``anrl report``."""
        return self.path / "report.html"
