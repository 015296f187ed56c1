"""The page of an honesty run: does the model answer what it knows and refuse what it does not?"""

from nescio.report.honesty.content import GradedSample, HonestyContent, pair_samples
from nescio.report.honesty.page import write_honesty_report

__all__ = ["GradedSample", "HonestyContent", "pair_samples", "write_honesty_report"]
