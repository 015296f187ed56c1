"""What a server needs of a run: its model, its calibrator, its promise, and how true its confidences came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nescio.calibrate import Calibration
from nescio.confidence.thresholds import ThresholdGuarantee
from nescio.config import ModelConfig, RunConfig, parse_run_config
from nescio.errors import ConfigError, DataError
from nescio.metrics import reliability_bins, wilson_interval
from nescio.models.load import LoadedModel, load_adapted_model, load_model
from nescio.pipeline.line import ADAPTER_FILES
from nescio.records import Example, Grade, Prediction, Record, answering_is_right
from nescio.store import read_json, read_records, sha256_of_file, sha256_of_json


class Bin(Record):
    """How often answering was right among test questions of like confidence."""

    lower: float
    upper: float
    """Of the calibrated confidence; the upper edge belongs to the bin."""
    n: int
    accuracy: float | None
    """Share of right ones; None where there are none."""
    low: float | None
    high: float | None
    """Bounds of the 95 % interval of that share (Wilson)."""


class ServedRun(NamedTuple):
    """A finished run of structured decisions, ready to be asked."""

    id: str
    """Name of the run and the first digits of the digest of its weights and calibrator."""
    config: RunConfig
    system: str
    """`tuned`, or `base` where nothing was trained."""
    calibration: Calibration
    guarantee: ThresholdGuarantee | None
    bins: tuple[Bin, ...]
    live_reference: tuple[float, ...]
    """Calibrated confidences on the calibration split, which live ones are compared with."""
    load: Callable[[], LoadedModel]

    def calibrate(self, raw: float) -> float:
        """The calibrated confidence."""
        return float(self.calibration.calibrator.apply([raw])[0])

    def bin_of(self, confidence: float) -> Bin | None:
        """The bin that a calibrated confidence falls into."""
        return next((one for one in self.bins if confidence <= one.upper), None)

    @property
    def guaranteed(self) -> float | None:
        """The threshold of raw confidence that the run promises a risk for."""
        return None if self.guarantee is None else self.guarantee.threshold


def read_run(folder: str | Path) -> ServedRun:
    """Read what is served from the folder of a finished run.

    Raises:
        ConfigError: The run is of a kind that takes no structured decisions.
        DataError: It is not finished.
    """
    folder = Path(folder)
    missing = next((name for name in ("config.json", "calibrate.json") if not (folder / name).is_file()), None)
    if missing is not None:
        raise DataError(f"'{folder}' has no {missing}; give the folder of a finished run (nescio run CONFIG)")
    config = parse_run_config(read_json(folder / "config.json"), origin=str(folder / "config.json"))
    if not isinstance(config, RunConfig):
        raise ConfigError(
            f"'{folder}' is no run of structured decisions; serve one that is, such as configs/quickstart.yaml makes"
        )
    system = "tuned" if "tuned" in config.predict.systems else "base"
    calibrations = read_json(folder / "calibrate.json")
    if system not in calibrations:
        raise DataError(f"'{folder}' has no calibrator of '{system}'; finish it first: nescio run CONFIG")
    calibration = Calibration.model_validate(calibrations[system])
    weights = [folder / name for name in ADAPTER_FILES] if system == "tuned" else []
    digest = sha256_of_json([*(sha256_of_file(path) for path in weights), calibrations[system]])
    return ServedRun(
        id=f"{config.name}-{digest[:8]}",
        config=config,
        system=system,
        calibration=calibration,
        guarantee=_read_guarantee(folder, system) if config.calibrate.max_risk is not None else None,
        bins=tuple(_read_bins(folder, system, calibration)),
        live_reference=tuple(_confidences(folder, system, calibration, "calibration")),
        load=lambda: _load(config.model, folder if system == "tuned" else None),
    )


def _read_guarantee(folder: Path, system: str) -> ThresholdGuarantee | None:
    path = folder / "thresholds.json"
    stored = read_json(path) if path.is_file() else {}
    return ThresholdGuarantee.model_validate(stored[system]) if system in stored else None


def _read_bins(folder: Path, system: str, calibration: Calibration, *, n_bins: int = 10) -> list[Bin]:
    """The reliability diagram of the test split."""
    examples = {one.id: one for one in read_records(folder / "data" / "test.jsonl", Example)}
    grades = {one.id: one for one in read_records(folder / "grades" / f"{system}.test.jsonl", Grade)}
    told = [
        one for one in read_records(folder / "predictions" / f"{system}.test.jsonl", Prediction) if one.confidence is not None
    ]
    if not told:
        return []
    confidence = calibration.calibrator.apply([one.confidence for one in told if one.confidence is not None])
    right = [answering_is_right(examples[one.id], grades[one.id]) for one in told]
    found = reliability_bins(confidence, right, n_bins=n_bins)
    bins = []
    for place, n in enumerate(found.count.tolist()):
        accuracy = float(found.accuracy[place]) if n else None
        bounds = wilson_interval(round(accuracy * n), n) if accuracy is not None else None
        low, high = (bounds.low, bounds.high) if bounds else (None, None)
        edges = {"lower": float(found.lower[place]), "upper": float(found.upper[place])}
        bins.append(Bin(**edges, n=n, accuracy=accuracy, low=low, high=high))
    return bins


def _confidences(folder: Path, system: str, calibration: Calibration, split: str) -> list[float]:
    told = read_records(folder / "predictions" / f"{system}.{split}.jsonl", Prediction)
    raw = [one.confidence for one in told if one.confidence is not None]
    return [float(value) for value in calibration.calibrator.apply(raw)] if raw else []


def _load(model: ModelConfig, folder: Path | None) -> LoadedModel:
    if folder is None:
        return load_model(model.name, dtype=model.dtype, device=model.device)
    return load_adapted_model(model.name, folder / "adapter", dtype=model.dtype, device=model.device)
