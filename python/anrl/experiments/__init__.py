"""Leave one domain out, and the tables of it."""

from anrl.experiments.comparison import Comparison, compare, results_csv, table_markdown
from anrl.experiments.leave_one_out import Cell, CellResult, LeaveOneDomainOut, titles

__all__ = [
    "Cell",
    "CellResult",
    "Comparison",
    "LeaveOneDomainOut",
    "compare",
    "results_csv",
    "table_markdown",
    "titles",
]
