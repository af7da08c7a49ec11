"""What a run makes of its averaged network: one model, and one for each task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from facecli.metrics import retrieve
from facecli.models import DIMENSION
from facecli.models.networks import FaceNetwork
from facecli.training.derived import shortened, slice_of, sliced
from facecli.training.promotion import Measurement, ModelComparison, combine
from facecli.training.story import RunStory
from facecli.types import FloatArray, IntArray, ModelCard


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A network to be calibrated and saved, and what to measure it on.

    `task` is the name of a task, empty for the model of the run itself. `before` (n, d) are the
    embeddings of the validation photos that it is compared with, `labels` (n,) whose they are.
    `longer` are measures of a longer embedding that it was made from; {} if there is none.
    """

    task: str
    network: FaceNetwork
    before: FloatArray
    labels: IntArray
    longer: dict[str, float]

    def name(self, model: str) -> str:
        """Return the name of the model, which belongs to a run of the model `model`."""
        return f"{model}-{self.task}" if self.task else model

    def path(self, out: Path) -> Path:
        """Return where the model is written if that of the run is written to `out`."""
        return out.with_name(f"{self.name(out.stem)}{out.suffix}")


@dataclasses.dataclass(frozen=True, slots=True)
class HeldOutTask:
    """A task on the validation photos: its name, its slice, and their labels (n,)."""

    name: str
    numbers: slice
    labels: IntArray


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedModel:
    """A model that was written, and how it did on the validation photos.

    `task` is the name of its task, empty for the model of the run itself.
    `before_embeddings` and `embeddings` (n, d) are those of the model to compare with and its own,
    `before` and `after` their measurements; `labels` (n,) say whose the photos are.
    """

    task: str
    path: Path
    card: ModelCard
    network: FaceNetwork
    before_embeddings: FloatArray
    embeddings: FloatArray
    labels: IntArray
    before: Measurement
    after: Measurement
    verdict: ModelComparison


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedRun:
    """The result of a run: its model, and one for each task.

    `promoted` is the file in the user's model folder, or None. `story` is what its page shows, or
    None for a run without a page.
    """

    model: FinishedModel
    slices: tuple[FinishedModel, ...]
    promoted: Path | None
    story: RunStory | None


def parts_of(
    network: FaceNetwork,
    *,
    before: FloatArray,
    labels: IntArray,
    tasks: tuple[HeldOutTask, ...],
    trained_on: Callable[[], FloatArray],
    see: Callable[[FaceNetwork], FloatArray],
) -> Iterator[Part]:
    """Yield the model of the run, then that of each task.

    An embedding longer than 128 numbers is shortened to 128, along the principal directions of the
    embeddings `trained_on`. Each task's model is its slice alone. `see` returns a network's views
    (v, n, d) of the validation photos.
    """
    if not tasks or network.head.out_features <= DIMENSION:
        yield Part("", network, before, labels, {})
    else:
        longer = retrieval_measures(combine(see(network)), labels)
        short = shortened(network, trained_on(), DIMENSION)
        yield Part("", short, before, labels, longer)
    for one in tasks:
        yield Part(
            one.name, sliced(network, one.numbers), slice_of(before, one.numbers), one.labels, {}
        )


def retrieval_measures(
    embeddings: FloatArray, labels: IntArray, *, apart: IntArray | None = None
) -> dict[str, float]:
    """Return Recall@1, MAP@R and R-precision of unit rows (n, d), by name; {} if none asks.

    With `apart` (n,), rows that have the same number there are not each other's neighbours.
    """
    try:
        found = retrieve(embeddings, labels, ks=(1,), apart=apart)
    except ValueError:
        return {}
    return {
        "Recall@1": round(found.recall[1], 4),
        "MAP@R": round(found.map_at_r, 4),
        "R-precision": round(found.r_precision, 4),
    }
