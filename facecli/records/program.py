"""Records of the program itself: models, training, health and the demo."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict, cast

from facecli.records.fields import (
    Calibrated,
    Fingerprint,
    Path,
    SquaredL2,
    Strangers,
    Threshold,
    operating,
)

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from facecli.calibration.odds import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.recognition.survey import LookAlikePair, Standing, Stray, Survey
    from facecli.training.loop import Step
    from facecli.types import ModelCard


class ModelRecord(TypedDict):
    """A model. `models list` gives what tells models apart, `models info` the whole card."""

    kind: Literal["model"]
    name: str
    fingerprint: Fingerprint
    dimension: Annotated[int, "numbers in an embedding"]
    threshold: Threshold
    licence: str
    description: str
    default: NotRequired[Annotated[bool, "whether it is the default model"]]
    architecture: NotRequired[Annotated[dict[str, Any], "how the network is built"]]
    geometry: NotRequired[Annotated[dict[str, Any], "size and landmarks of a chip"]]
    threshold_source: NotRequired[Annotated[str, "what data the threshold comes from"]]
    source: NotRequired[Annotated[str, "where the weights come from"]]
    thresholds: NotRequired[Annotated[dict[str, float], "squared L2 by false match rate"]]
    metrics: NotRequired[Annotated[dict[str, Any], "what was measured"]]
    data: NotRequired[Annotated[list[dict[str, str]], "data sets with their terms"]]
    config: NotRequired[Annotated[dict[str, Any], "settings of the training"]]
    history: NotRequired[Annotated[list[dict[str, Any]], "how the model came to be"]]
    impostors: NotRequired[Annotated[dict[str, Any], "table of how near strangers come"]]


class ModelImportedRecord(TypedDict):
    """A model that was imported."""

    kind: Literal["model_imported"]
    path: Path
    name: str
    fingerprint: Fingerprint
    dimension: Annotated[int, "numbers in an embedding"]
    threshold: Threshold
    licence: str
    description: str


class TrainingStepRecord(TypedDict):
    """How the training goes, as means since the last record."""

    kind: Literal["training_step"]
    step: int
    loss: float
    triplet: Annotated[float, "triplet loss"]
    target: Annotated[float, "loss towards the teacher's embeddings"]
    relation: Annotated[float, "loss towards the teacher's distances"]
    contrast: Annotated[float, "contrastive part of the loss"]
    semi_hard: Annotated[float, "share of genuine pairs with a semi-hard negative"]
    genuine: Annotated[float, "mean squared L2 of genuine pairs in the batch"]
    impostor: Annotated[float, "mean squared L2 of impostor pairs in the batch"]
    learning_rate: float
    rate: Annotated[float, "chips per second"]
    seconds: Annotated[float, "training time so far"]
    left: Annotated[float, "estimate of the seconds that remain"]


class TrainingRecord(TypedDict):
    """The end of a training run."""

    kind: Literal["training"]
    path: Path
    folder: Annotated[str, "the run folder"]
    better: Annotated[bool, "whether the model is better beyond doubt"]
    verdict: Annotated[str, "the same in words"]
    promoted: Annotated[str | None, "where it was copied with --promote"]
    card: Annotated[dict[str, Any], "the model's card"]


class FindingRecord(TypedDict):
    """One thing that the doctor looked at."""

    kind: Literal["finding"]
    topic: str
    healthy: Annotated[bool, "false if something must be done"]
    text: str


class DiagnosisRecord(TypedDict):
    """All that the doctor found."""

    kind: Literal["diagnosis"]
    problems: Annotated[int, "how many"]


class StandingRecord(TypedDict):
    """A person among the others in the gallery."""

    kind: Literal["standing"]
    person: str
    templates: int
    nearest: Annotated[str | None, "the other person with the nearest template"]
    squared_l2: Annotated[float | None, "squared L2 to that template"]
    spread: Annotated[float | None, "squared L2 between the person's own templates, the largest"]


class LookAlikesRecord(TypedDict):
    """Two people within the threshold of each other."""

    kind: Literal["look_alikes"]
    person: str
    other: str
    squared_l2: SquaredL2


class StrayRecord(TypedDict):
    """A template that is unlike the person's others."""

    kind: Literal["stray"]
    person: str
    template: Annotated[int, "number of the template"]
    own_squared_l2: Annotated[SquaredL2, "to the nearest other template of the person"]
    other: Annotated[str | None, "the nearest other person"]
    squared_l2: Annotated[float | None, "squared L2 to that person"]


class FalseAccepts(TypedDict):
    """Strangers who would be accepted in a day."""

    share: Annotated[float | None, "how many; null if only known to lie between the two"]
    low: float
    high: float


class GallerySurveyRecord(TypedDict):
    """The whole gallery."""

    kind: Literal["gallery_survey"]
    people: int
    templates: int
    look_alikes: Annotated[int, "pairs of people within the threshold"]
    strays: Annotated[int, "templates unlike the person's others"]
    second_photo: Annotated[list[str], "people whom a second photo would help, the most first"]
    probes_per_day: Annotated[int, "strangers who are seen in a day, as it was given"]
    false_accepts_per_day: FalseAccepts | None
    threshold: Threshold
    calibrated: Annotated[Calibrated | None, "null if the threshold was given, or is the model's"]
    strangers: Annotated[Strangers | None, "strangers within the threshold; null if unknown"]
    model: Annotated[str, "name of the model"]


class DemoStepRecord(TypedDict):
    """One command of the demo."""

    kind: Literal["demo_step"]
    command: str
    exit: Annotated[int, "its exit code"]
    right: Annotated[bool, "whether its answer was right"]


class DemoRecord(TypedDict):
    """The end of the demo."""

    kind: Literal["demo"]
    right: Annotated[bool, "whether every answer was right"]
    folder: Path
    gallery: Path


class HealthRecord(TypedDict):
    """Whether the service can answer."""

    kind: Literal["health"]
    healthy: Annotated[bool, "whether the gallery can be read"]
    version: Annotated[str, "version of facecli"]


class ErrorRecord(TypedDict):
    """A request that was refused."""

    kind: Literal["error"]
    reason: Annotated[str, "why, in one line"]


SUMMARY = ("name", "fingerprint", "dimension", "threshold", "licence", "description")
"""Fields of a card that tell models apart."""


def model(card: ModelCard) -> ModelRecord:
    """Return a whole card."""
    return cast("ModelRecord", {"kind": "model", **dataclasses.asdict(card)})


def model_summary(card: ModelCard, *, default: bool) -> ModelRecord:
    """Return what tells a model apart from others."""
    named = {name: getattr(card, name) for name in SUMMARY}
    return cast("ModelRecord", {"kind": "model", **named, "default": default})


def model_imported(card: ModelCard, path: FilePath) -> ModelImportedRecord:
    """Return what is said of a model that was imported."""
    named = {name: getattr(card, name) for name in SUMMARY}
    record = {"kind": "model_imported", "path": str(path), **named}
    return cast("ModelImportedRecord", record)


def training_step(step: Step) -> TrainingStepRecord:
    """Return how the training goes."""
    return cast("TrainingStepRecord", {"kind": "training_step", **dataclasses.asdict(step)})


def standing(one: Standing) -> StandingRecord:
    """Return what is said of a person among the others."""
    return cast("StandingRecord", {"kind": "standing", **dataclasses.asdict(one)})


def look_alikes(one: LookAlikePair) -> LookAlikesRecord:
    """Return what is said of two people within the threshold."""
    return cast("LookAlikesRecord", {"kind": "look_alikes", **dataclasses.asdict(one)})


def stray(one: Stray) -> StrayRecord:
    """Return what is said of a template unlike the person's others."""
    return cast("StrayRecord", {"kind": "stray", **dataclasses.asdict(one)})


def gallery_survey(
    found: Survey, card: ModelCard, point: OperatingPoint, odds: Odds | None, *, probes: int
) -> GallerySurveyRecord:
    """Return what is said of a whole gallery; `odds` are those of a stranger at the threshold."""
    expected: FalseAccepts | None = None
    if odds is not None:
        expected = {
            "share": odds.share and odds.share * probes,
            "low": odds.low * probes,
            "high": odds.high * probes,
        }
    return {
        "kind": "gallery_survey",
        "people": len(found.standings),
        "templates": sum(one.templates for one in found.standings),
        "look_alikes": len(found.look_alikes),
        "strays": len(found.strays),
        "second_photo": list(found.second_photo),
        "probes_per_day": probes,
        "false_accepts_per_day": expected,
        "threshold": point.threshold,
        **operating(point, odds),
        "model": card.name,
    }
