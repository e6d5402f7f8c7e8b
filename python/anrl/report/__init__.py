"""Report of a run or a protocol: one HTML page that opens without a network."""

from anrl.report.page import write_report

__all__ = ["write_report"]
