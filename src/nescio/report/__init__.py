"""The page for people: what changed, how sure we are, and every single answer to look at."""

from nescio.report.card import write_model_card
from nescio.report.content import ReportContent
from nescio.report.page import write_report

__all__ = ["ReportContent", "write_model_card", "write_report"]
