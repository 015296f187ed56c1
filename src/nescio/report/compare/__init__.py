"""Many honesty runs side by side: one page, one table in Markdown, one JSON file."""

from nescio.report.compare.page import write_comparison
from nescio.report.compare.run import ComparedRun

__all__ = ["ComparedRun", "write_comparison"]
