"""Many runs on the same questions, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nescio.errors import ConfigError, DataError
from nescio.evaluate_honesty import paired_differences
from nescio.pipeline.honesty import read_outcomes
from nescio.records import Outcome
from nescio.report import ComparedRun, write_comparison
from nescio.report.paper_results import PAPER_RESULTS
from nescio.store import read_json


def compare_runs(folders: Sequence[Path], *, out: Path, reference: str | None = None, with_paper: bool = True) -> Path:
    """Write one page, one table and one JSON file over several finished honesty runs.

    Args:
        folders: Run folders, two or more.
        out: Where they go.
        reference: Name of the run that paired differences are taken to, as its run file names it; None takes none.
        with_paper: Whether the numbers of Alignment for Honesty stand beside them, as another model's.

    Returns:
        Path of the page.

    Raises:
        DataError: A run is not finished, or two were asked other questions.
        ConfigError: There are fewer than two runs, two of one name, one that is not of honesty, or no such reference.
    """
    if len(folders) < 2:
        raise ConfigError(f"there is nothing to compare in {len(folders)} run; give two or more run folders")
    for folder in folders:
        if not (folder / "scorecard.json").is_file():
            raise DataError(f"'{folder}' holds no scorecard.json; finish it first: nescio run CONFIG")
    settings = {folder: read_json(folder / "config.json") for folder in folders}
    names = {settings[folder]["name"]: folder for folder in folders}
    if len(names) < len(folders):
        raise ConfigError("two runs have the same name; give each its own `name` in its run file")
    if reference is not None and reference not in names:
        raise ConfigError(f"there is no run '{reference}' among {', '.join(names)}; give one of these as the reference")
    alone = [ComparedRun(name, read_json(folder / "scorecard.json"), settings[folder]) for name, folder in names.items()]
    outcomes = {name: read_outcomes(folder) for name, folder in names.items()}
    _refuse_other_questions(outcomes)
    runs = []
    for run in alone:
        differences = None
        if reference is not None and run.name != reference:
            differences = paired_differences(
                outcomes[run.name],
                outcomes[reference],
                out_of_distribution=run.scorecard["settings"]["out_of_distribution"],
                seed=run.settings["seed"],
            )
        runs.append(replace(run, differences=differences))
    return write_comparison(out, runs, reference=reference, paper=PAPER_RESULTS if with_paper else None)


def _refuse_other_questions(outcomes: Mapping[str, Mapping[str, Sequence[Outcome]]]) -> None:
    """Numbers on other questions do not belong into one column."""
    asked = {run: {name: {row.question_id for row in rows} for name, rows in of_run.items()} for run, of_run in outcomes.items()}
    first, sets = next(iter(asked.items()))
    for run, others in asked.items():
        for name in sorted(sets.keys() | others.keys()):
            n = len(sets.get(name, set()) ^ others.get(name, set()))
            if n:
                raise DataError(
                    f"runs '{first}' and '{run}' were not asked the same questions: {n} of set '{name}' were put to one of them "
                    "only; run both with the same section `questions`"
                )
