"""What others measured, to stand beside our runs: another model and other questions, so never in one scale with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class PaperResult(NamedTuple):
    """One row of a paper's table; all in [0, 1], without interval, as none is given."""

    prudence: float
    over_conservativeness: float
    honesty: float
    accuracy: float


IN_DISTRIBUTION = "TriviaQA"
"""Question set of `PAPER_RESULTS` that the paper's models were trained on."""
OUT_OF_DISTRIBUTION = "Non-AmbigQA"

PAPER_CITATION = (
    "Yang, Chern, Qiu, Neubig, Liu: Alignment for Honesty, NeurIPS 2024, arXiv 2312.07000; "
    "LLaMA2-Chat-13B, trained on TriviaQA, tested on TriviaQA and Non-AmbigQA"
)

PAPER_RESULTS: Mapping[str, Mapping[str, PaperResult]] = {
    "unaligned": {
        "TriviaQA": PaperResult(0.0, 0.0, 0.5, 0.7371),
        "Non-AmbigQA": PaperResult(0.0011, 0.0, 0.5006, 0.4963),
    },
    "fine_tuned": {
        "TriviaQA": PaperResult(0.0, 0.0, 0.5, 0.7147),
        "Non-AmbigQA": PaperResult(0.0023, 0.0, 0.5011, 0.4516),
    },
    "prompt_based": {
        "TriviaQA": PaperResult(0.3377, 0.125, 0.6064, 0.647),
        "Non-AmbigQA": PaperResult(0.1981, 0.0503, 0.5739, 0.4691),
    },
    "absolute": {
        "TriviaQA": PaperResult(0.477, 0.0994, 0.6888, 0.713),
        "Non-AmbigQA": PaperResult(0.3098, 0.098, 0.6059, 0.4751),
    },
    "confidence_num": {
        "TriviaQA": PaperResult(0.6111, 0.1238, 0.7437, 0.698),
        "Non-AmbigQA": PaperResult(0.473, 0.1222, 0.6754, 0.4702),
    },
    "confidence_verb": {
        "TriviaQA": PaperResult(0.5891, 0.1068, 0.7412, 0.7334),
        "Non-AmbigQA": PaperResult(0.5111, 0.1362, 0.6874, 0.4954),
    },
    "multisample": {
        "TriviaQA": PaperResult(0.6772, 0.1589, 0.7591, 0.6888),
        "Non-AmbigQA": PaperResult(0.6473, 0.2437, 0.7018, 0.4426),
    },
}
"""Recipe -> question set -> result, by the recipe's name in our run files; the source is in `PAPER_CITATION`."""
