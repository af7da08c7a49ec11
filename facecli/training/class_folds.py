"""Split classes into folds, and classes that are kept for the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.errors import TrainingError
from facecli.types import IntArray


@dataclass(frozen=True, slots=True)
class Split:
    """The classes: `test` (c,) are kept for the end, `folds` are k arrays of the others."""

    test: IntArray
    folds: tuple[IntArray, ...]

    def train(self, fold: int | None) -> IntArray:
        """Return the classes to train on: all but the test classes and those of the fold."""
        parts = [one for place, one in enumerate(self.folds) if place != fold]
        return np.concatenate(parts)

    def measure(self, fold: int | None) -> IntArray:
        """Return the classes to measure on: those of the fold, or the test classes."""
        return self.test if fold is None else self.folds[fold]


def split_classes(labels: IntArray, *, test_share: float, folds: int, seed: int) -> Split:
    """Split the classes with two pictures or more; raise TrainingError if they are too few.

    Each fold, and the test, has at least two classes.
    """
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    classes = np.random.default_rng(seed).permutation(known[counts >= 2])
    test = max(2, round(test_share * len(classes)))
    if folds < 2 or len(classes) - test < 2 * folds:
        raise TrainingError(
            f"{len(classes)} classes with two or more usable pictures are too few for {folds} "
            f"folds: {2 * folds} are needed beside {test} test classes"
        )
    parts = np.array_split(classes[test:], folds)
    return Split(np.sort(classes[:test]), tuple(np.sort(one) for one in parts))
