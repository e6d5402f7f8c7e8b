"""Leave-one-domain-out protocol and its tables."""

from anrl.experiments.comparison import Comparison, compare, results_csv, table_markdown
from anrl.experiments.leave_one_out import Cell, LeaveOneDomainOut, titles

__all__ = [
    "Cell",
    "Comparison",
    "LeaveOneDomainOut",
    "compare",
    "results_csv",
    "table_markdown",
    "titles",
]
