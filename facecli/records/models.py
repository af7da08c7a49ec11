"""Records of models and train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from facecli.records.calibration import Impostors
from facecli.records.fields import (
    Count,
    Fingerprint,
    Seconds,
    Share,
    SquaredL2,
    Threshold,
    Unit,
    WrittenBy,
)

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.models.detector_weights import DetectorCard
    from facecli.training.session import FinishedRun
    from facecli.training.steps import Step
    from facecli.types import ModelCard

Pixel = Annotated[float, Unit("pixels")]


class ChipGeometry(TypedDict):
    """Where a face lies in the square picture that the model is given."""

    size: Annotated[Count, Unit("pixels", 1), "side of the square"]
    landmarks: Annotated[
        Sequence[tuple[Pixel, Pixel]],
        "x and y of the left eye, the right eye, the nose, the left and the right mouth corner",
    ]


class Card(TypedDict):
    """Everything that is known of one model."""

    name: Annotated[str, "the model's name"]
    fingerprint: Fingerprint
    architecture: Annotated[Mapping[str, Any], "how the network is built"]
    geometry: Annotated[ChipGeometry, "where a face lies in the picture that the model is given"]
    dimension: Annotated[Count, "numbers in an embedding"]
    threshold: Threshold
    threshold_source: Annotated[str, "the data that the threshold comes from"]
    licence: Annotated[str, "the licence of the weights"]
    description: Annotated[str, "what the model is, in one line"]
    source: Annotated[str, "where the weights come from; empty if it is not known"]
    thresholds: Annotated[
        Mapping[str, SquaredL2], "for some false match rates, such as 1e-4, their threshold"
    ]
    metrics: Annotated[Mapping[str, Any], "what was measured of the model"]
    data: Annotated[Sequence[Mapping[str, str]], "the data that it was trained on, with the terms"]
    config: Annotated[Mapping[str, Any], "the settings that it was trained with"]
    history: Annotated[Sequence[Mapping[str, Any]], "how it was made, step by step"]
    impostors: Impostors


class _ModelKind(TypedDict):
    kind: Annotated[Literal["model"], WrittenBy(("facecli models info",))]


class ModelRecord(_ModelKind, Card):
    """Everything that is known of one model."""


class _Summary(TypedDict):
    name: Annotated[str, "the model's name, for --model"]
    fingerprint: Annotated[
        Fingerprint,
        "fingerprint of the model; empty if its weights are in no file of facecli's own",
    ]
    dimension: Annotated[Count, "numbers in an embedding"]
    threshold: Threshold
    licence: Annotated[str, "the licence of the weights"]
    description: Annotated[str, "what the model is, in one line"]
    default: Annotated[bool, "whether it is used without --model"]


class _ListedKind(TypedDict):
    kind: Annotated[Literal["model"], WrittenBy(("facecli models list",))]


class ListedModelRecord(_ListedKind, _Summary):
    """A model that --model accepts by name."""


class _ImportedKind(TypedDict):
    kind: Annotated[
        Literal["model_imported"],
        WrittenBy(("facecli models import-dlib", "facecli models import-sface")),
    ]
    path: Annotated[str, "the model's file"]


class ModelImportedRecord(_ImportedKind, _Summary):
    """A model was imported."""


class _ExportedKind(TypedDict):
    kind: Annotated[Literal["model_exported"], WrittenBy(("facecli models export",))]
    path: Annotated[str, "the ONNX file"]


class ModelExportedRecord(_ExportedKind, _Summary):
    """A model was written as an ONNX file."""


class DetectorImportedRecord(TypedDict):
    """The weights of the face detector were imported."""

    kind: Annotated[Literal["detector_imported"], WrittenBy(("facecli models import-detector",))]
    path: Annotated[str, "the file of the weights"]
    name: Annotated[str, "the detector's name"]
    fingerprint: Fingerprint
    licences: Annotated[Mapping[str, str], "the licence of each network's weights"]
    sources: Annotated[Mapping[str, str], "where each network's weights come from"]


def model(card: ModelCard) -> ModelRecord:
    """Return the record of everything that is known of a model."""
    return {"kind": "model", **_card(card)}


def listed_model(card: ModelCard, *, default: bool) -> ListedModelRecord:
    """Return the record of a model in the list."""
    return {"kind": "model", **_summary(card, default=default)}


def model_imported(path: Path, card: ModelCard) -> ModelImportedRecord:
    """Return the record of a model that was imported."""
    return {"kind": "model_imported", "path": str(path), **_summary(card, default=False)}


def model_exported(path: Path, card: ModelCard) -> ModelExportedRecord:
    """Return the record of a model that was exported."""
    return {"kind": "model_exported", "path": str(path), **_summary(card, default=False)}


def detector_imported(path: Path, card: DetectorCard) -> DetectorImportedRecord:
    """Return the record of a detector that was imported."""
    return {
        "kind": "detector_imported",
        "path": str(path),
        "name": card.name,
        "fingerprint": card.fingerprint,
        "licences": card.licences,
        "sources": card.sources,
    }


def _summary(card: ModelCard, *, default: bool) -> _Summary:
    return {
        "name": card.name,
        "fingerprint": card.fingerprint,
        "dimension": card.dimension,
        "threshold": card.threshold,
        "licence": card.licence,
        "description": card.description,
        "default": default,
    }


def _card(card: ModelCard) -> Card:
    return {
        "name": card.name,
        "fingerprint": card.fingerprint,
        "architecture": card.architecture,
        "geometry": {"size": card.geometry.size, "landmarks": card.geometry.landmarks},
        "dimension": card.dimension,
        "threshold": card.threshold,
        "threshold_source": card.threshold_source,
        "licence": card.licence,
        "description": card.description,
        "source": card.source,
        "thresholds": card.thresholds,
        "metrics": card.metrics,
        "data": card.data,
        "config": card.config,
        "history": card.history,
        "impostors": card.impostors,
    }


Loss = Annotated[float, Unit("loss")]


class TrainingStepRecord(TypedDict):
    """How a training run goes; every few steps, as means since the last record."""

    kind: Annotated[Literal["training_step"], WrittenBy(("facecli train",))]
    step: Annotated[Count, "number of the last step"]
    loss: Annotated[Loss, "the whole loss"]
    triplet: Annotated[Loss, "its part from the loss of --loss, by default triplets"]
    target: Annotated[Loss, "its part from the teacher's embeddings"]
    relation: Annotated[Loss, "its part from the distances between the teacher's embeddings"]
    contrast: Annotated[Loss, "its part from telling people apart"]
    semi_hard: Annotated[Share, "share of genuine pairs with a semi-hard negative"]
    genuine: Annotated[SquaredL2, "mean over the genuine pairs of a batch"]
    impostor: Annotated[SquaredL2, "mean over the impostor pairs of a batch"]
    learning_rate: Annotated[float, Unit(low=0), "learning rate of the last step"]
    rate: Annotated[float, Unit("photos per second", 0), "speed of training"]
    seconds: Annotated[Seconds, "time spent in training so far"]
    left: Annotated[Seconds, "estimate of the time that is left"]
    synthetic: Annotated[
        Share | None, "share of synthetic points among the hardest; null if the loss has none"
    ]
    accuracy: Annotated[
        Share | None, "how often the right class comes first; null if the loss has no classes"
    ]
    accuracy_with_margin: Annotated[
        Share | None, "the same with the margin of the loss, which makes it harder"
    ]
    angle: Annotated[
        float | None,
        Unit("degrees", 0, 180),
        "median angle to the learned centre of the own class; null if the loss has none",
    ]


def training_step(step: Step) -> TrainingStepRecord:
    """Return the record of how a training run goes."""
    return {
        "kind": "training_step",
        "step": step.step,
        "loss": step.loss,
        "triplet": step.triplet,
        "target": step.target,
        "relation": step.relation,
        "contrast": step.contrast,
        "semi_hard": step.semi_hard,
        "genuine": step.genuine,
        "impostor": step.impostor,
        "learning_rate": step.learning_rate,
        "rate": step.rate,
        "seconds": step.seconds,
        "left": step.left,
        "synthetic": step.synthetic,
        "accuracy": step.accuracy,
        "accuracy_with_margin": step.accuracy_with_margin,
        "angle": step.angle,
    }


class SliceRecord(TypedDict):
    """The model of a task: a slice of the embedding, as a model of its own."""

    path: Annotated[str, "the model's file"]
    card: Annotated[Card, "everything that is known of the model"]


class TrainingRecord(TypedDict):
    """The end of a training run."""

    kind: Annotated[Literal["training"], WrittenBy(("facecli train",))]
    path: Annotated[str, "the model's file"]
    folder: Annotated[str, "the folder of the run: state, log, split and curves"]
    better: Annotated[bool, "whether it is better beyond doubt than the model it would replace"]
    verdict: Annotated[str, "the comparison in one line"]
    promoted: Annotated[str | None, "where --promote copied the model; null if it did not"]
    card: Annotated[Card, "everything that is known of the model"]
    slices: Annotated[Sequence[SliceRecord], "the models of the tasks"]


def training(run: FinishedRun, path: Path, folder: Path) -> TrainingRecord:
    """Return the record of the end of a training run."""
    return {
        "kind": "training",
        "path": str(path),
        "folder": str(folder),
        "better": run.model.verdict.better,
        "verdict": run.model.verdict.reason,
        "promoted": None if run.promoted is None else str(run.promoted),
        "card": _card(run.model.card),
        "slices": [{"path": str(one.path), "card": _card(one.card)} for one in run.slices],
    }
