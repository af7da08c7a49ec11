"""What a training run looked like from inside: plain numbers, for its page.

A part that was not measured is None or empty, and its page leaves it out. Values that are not
finite count as not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.metrics import AllPairs
from facecli.types import BoolArray, FloatArray, IntArray, PixelArray

Values = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Series:
    """A number over training: ascending `steps`, int64 (k,), and its `values`, floats (k,)."""

    steps: IntArray
    values: Values

    def __post_init__(self) -> None:
        if self.steps.shape != self.values.shape or self.steps.ndim != 1:
            raise ValueError(f"{self.steps.shape} steps and {self.values.shape} values differ")

    def measured(self) -> Series:
        """Return the series without the steps at which the value is not finite."""
        kept = np.isfinite(self.values)
        return Series(self.steps[kept], self.values[kept])


@dataclass(frozen=True, slots=True)
class AnglesAt:
    """Angles of pictures to the learned centre of their class after a step, degrees (n,).

    They are those of all pictures of a batch, or evenly spaced quantiles of them, from the least to
    the largest.
    """

    step: int
    degrees: Values


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the right class of `classes` comes first in training, shares from 0 to 1.

    `with_margin` is None for a loss that has no margin.
    """

    classes: int
    without_margin: Series
    with_margin: Series | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Embeddings after a step: unit rows (m, d), their labels (m,), and which are synthetic (m,).

    A label is the number of a class. Synthetic points have the label of the points they are
    made from.
    """

    step: int
    embeddings: FloatArray
    labels: IntArray
    synthetic: BoolArray

    def __post_init__(self) -> None:
        if not len(self.embeddings) == len(self.labels) == len(self.synthetic):
            raise ValueError("there must be a label and a flag for each embedding")


@dataclass(frozen=True, slots=True)
class ComparedPairs:
    """All pairs of the validation pictures as one model sees them, and its threshold.

    A bare trunk has no threshold.
    """

    name: str
    pairs: AllPairs
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A picture near a query: chip uint8 (size, size, 3), its class, and its squared L2."""

    chip: PixelArray
    label: str
    squared_l2: float
    same: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A validation picture, uint8 (size, size, 3), its class, and its neighbours, nearest first."""

    chip: PixelArray
    label: str
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Measures:
    """A table: the first cell of a row names it, the others are numbers as text."""

    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunStory:
    """All that the page of a run shows.

    `facts` are names and values that hold for the whole run, such as data, loss and model.
    `synthetic` is the share of synthetic points among the hardest negatives, from 0 to 1.
    `moments` are in the order of their steps. `before` and `after` are the validation pairs as the
    model before the run and its result see them.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    loss: Series | None = None
    learning_rate: Series | None = None
    synthetic: Series | None = None
    angles: tuple[AnglesAt, ...] = ()
    accuracy: Accuracy | None = None
    moments: tuple[Moment, ...] = ()
    before: ComparedPairs | None = None
    after: ComparedPairs | None = None
    queries: tuple[Query, ...] = ()
    measures: tuple[Measures, ...] = ()
