"""What the networks of a comparison found: kept one file each, and summed up at the end."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from facecli.clustering.kmeans import as_many_clusters
from facecli.errors import TrainingError
from facecli.files import PRIVATE, replacing
from facecli.metrics import (
    Interval,
    all_pairs,
    bootstrap_by_person,
    draw_classes,
    interval,
    normalized_mutual_information,
    paired_difference,
    resampled_means,
    retrieve,
)
from facecli.metrics.support import supported
from facecli.metrics.verification import RateArray
from facecli.training.compared import ComparedLoss, ComparedLosses
from facecli.training.contest import Contest
from facecli.types import FloatArray, IntArray

FAR = 1e-2
"""VAL is shown at this rate: a few dozen classes of objects support no lower one."""

UNTRAINED = "no training"


@dataclass(frozen=True, slots=True)
class Found:
    """What one network found among classes it was not trained on.

    `embeddings` (n, d) with `labels` (n,) are kept of test classes only. Of the q pictures that
    asked, `classes` (q,) are theirs, `hits` (q,) whether the nearest was of their class,
    `precision` (q,) their average precision at R, and `r_precision` (q,) the share among the R
    nearest. A network that could not be trained found nothing.
    """

    embeddings: FloatArray
    labels: IntArray
    classes: IntArray
    hits: RateArray
    precision: RateArray
    r_precision: RateArray
    seconds: float

    @classmethod
    def failed(cls, seconds: float) -> Found:
        """Return what a network found that could not be trained."""
        none, nobody = np.empty(0), np.empty(0, np.int64)
        return cls(np.empty((0, 1), np.float32), nobody, nobody, none, none, none, seconds)

    @property
    def works(self) -> bool:
        """Whether the network could be trained."""
        return len(self.precision) > 0


@dataclass(frozen=True, slots=True)
class Results:
    """A folder with a file for each network; what is in it is never computed again."""

    folder: Path

    def has(self, key: str) -> bool:
        """Return whether the results of a network are there, and can be read."""
        try:
            self.load(key)
        except TrainingError:
            return False
        return True

    def load(self, key: str) -> Found:
        """Return the results of a network; raise TrainingError if there are none."""
        path = self.folder / f"{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {one.name: arrays[one.name] for one in fields(Found)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise TrainingError(f"{path}: no results that can be read") from error
        return Found(**found | {"seconds": float(found["seconds"])})

    def keep(self, key: str, found: Found) -> None:
        """Store the results of a network; raise TrainingError if the disk does not take them."""
        path = self.folder / f"{key}.npz"
        arrays = {one.name: np.asarray(getattr(found, one.name)) for one in fields(Found)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(path, mode=PRIVATE) as stream:
                np.savez(stream, allow_pickle=False, **arrays)
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{path}: cannot be written: {reason}") from error


def summary(
    contest: Contest,
    finals: Mapping[str, tuple[int, Found]],
    *,
    folds: Mapping[str, Sequence[Found]],
    seconds: Mapping[str, float],
    untrained: tuple[FloatArray, IntArray],
    facts: tuple[tuple[str, str], ...],
) -> ComparedLosses:
    """Return the comparison of all losses, with the first of the contest as their reference.

    `finals` map each loss to its best trial and what that found among the test classes, `folds` to
    what the same trial found in each fold, and `seconds` to the time of all its networks.
    `untrained` are embeddings (n, d) of the start, and the
    labels (n,). Raises TrainingError if the reference could not be trained.
    """
    reference = contest.rivals[0].name
    if not finals[reference][1].works:
        raise TrainingError(f"{reference}: could not be trained, so there is nothing to compare")
    base = finals[reference][1].precision
    rows = []
    for rival in contest.rivals:
        trial, final = finals[rival.name]
        if not final.works:
            continue
        rows.append(
            _row(
                rival.name,
                rival.described(trial),
                final.embeddings,
                final.labels,
                fold_map_at_r=_over_folds(folds[rival.name]),
                base=None if rival.name == reference else base,
                seconds=seconds[rival.name],
            )
        )
    rows.append(_row(UNTRAINED, "", *untrained, fold_map_at_r=None, base=base, seconds=0.0))
    return ComparedLosses("Losses compared", reference, tuple(rows), facts)


def _over_folds(found: Sequence[Found]) -> Interval:
    """Return the mean MAP@R over folds, with an interval over their classes."""
    offsets = np.cumsum([0, *(int(one.classes.max()) + 1 for one in found)])
    classes = np.concatenate(
        [one.classes + start for one, start in zip(found, offsets, strict=False)]
    )
    return _mean(np.concatenate([one.precision for one in found]), classes)


def _mean(values: RateArray, classes: IntArray) -> Interval:
    """Return the mean of values (q,) with an interval over classes (q,)."""
    number, draws = draw_classes(classes)
    drawn = resampled_means(values[:, None], number, draws)[:, 0]
    return interval(float(values.mean()), drawn)


def _row(
    name: str,
    settings: str,
    embeddings: FloatArray,
    labels: IntArray,
    *,
    fold_map_at_r: Interval | None,
    base: RateArray | None,
    seconds: float,
) -> ComparedLoss:
    found = retrieve(embeddings, labels, ks=(1,))
    classes = found.query_classes
    clusters = as_many_clusters(embeddings, len(np.unique(labels)))
    nmi = normalized_mutual_information(labels, clusters)
    enough = supported(FAR, all_pairs(embeddings, labels).impostor.size)
    precision = found.average_precision_at_r
    return ComparedLoss(
        name=name,
        settings=settings,
        fold_map_at_r=fold_map_at_r,
        map_at_r=_mean(precision, classes),
        recall_at_1=_mean(found.hits[:, 0].astype(np.float64), classes),
        r_precision=_mean(found.precision_at_r, classes),
        nmi=nmi,
        val=bootstrap_by_person(embeddings, labels, fars=[FAR])[0] if enough else None,
        difference=None if base is None else paired_difference(base, precision, classes),
        seconds=seconds,
    )
