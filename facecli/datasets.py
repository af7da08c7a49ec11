"""Photos of known people: read from folders or lists, split by person, drawn in P×K batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.faces.people_folders import one_spelling, read_people_folder
from facecli.faces.tables import read_table
from facecli.text import name_key
from facecli.types import BoolArray, IntArray

UNKNOWN = -1
"""Label of a photo whose person is not known."""


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Photos with labels: `labels[i]` is an index of `people`, or UNKNOWN.

    `paths` are relative to `root`. `validation` marks the photos that are not for training. `said`
    tells in one line what was found in a folder, and what was passed over and why.
    """

    root: Path
    paths: tuple[str, ...]
    labels: IntArray
    people: tuple[str, ...]
    validation: BoolArray
    said: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, keep: BoolArray) -> PhotoSet:
        """Return the photos where `keep` is true, with the same labels."""
        chosen = np.flatnonzero(keep)
        return PhotoSet(
            root=self.root,
            paths=tuple(self.paths[i] for i in chosen),
            labels=self.labels[chosen],
            people=self.people,
            validation=self.validation[chosen],
        )


def read_photo_set(data: Path, *, unlabelled: Sequence[str] = (), depth: int = 1) -> PhotoSet:
    """Read a folder of people, or a manifest: a table with the columns path, person and split.

    `read_people_folder` reads the folder, with people at this `depth`; photos below one of the
    folders in `unlabelled` have no person. In a manifest, paths are relative to the file, a photo
    without a person has an empty one, and split is `train`, `validation` or empty. Spellings of one
    name are one person. Raises FacecliError if there are no photos.
    """
    if data.is_dir():
        rows, said = _read_folder(data, unlabelled, depth)
    elif data.is_file():
        rows, said = _read_manifest(data), ""
    else:
        raise TrainingError(f"{data}: no such folder or manifest")
    if not rows:
        raise TrainingError(f"{data}: no photos in it")
    people = tuple(sorted({person for _, person, _ in rows if person}))
    number = {person: index for index, person in enumerate(people)}
    return PhotoSet(
        root=data if data.is_dir() else data.parent,
        paths=tuple(path for path, _, _ in rows),
        labels=np.array([number.get(person, UNKNOWN) for _, person, _ in rows], np.int64),
        people=people,
        validation=np.array([split == "validation" for _, _, split in rows], bool),
        said=said,
    )


def _read_folder(
    data: Path, unlabelled: Sequence[str], depth: int
) -> tuple[list[tuple[str, str, str]], str]:
    """Return path, person and split of the photos of a folder of people, and what is to be said."""
    found = read_people_folder(data, depth=depth)
    nobody = {name_key(name) for name in unlabelled}
    rows = [
        (
            photo.relative_to(data).as_posix(),
            "" if name_key(name.split("/")[0]) in nobody else name,
            "",
        )
        for photo, name in zip(found.photos, found.names, strict=True)
    ]
    return rows, f"{data}: {found.said()}"


def _read_manifest(path: Path) -> list[tuple[str, str, str]]:
    table = read_table(path, ("path", "person"))
    rows = []
    for row in table.whole_rows():
        if row["split"] not in ("", "train", "validation"):
            raise TrainingError(f"{table.where(row)}: split is {row['split']!r}")
        if not row["path"]:
            raise TrainingError(f"{table.where(row)}: no path")
        rows.append(row)
    people = one_spelling((row["person"] for row in rows), {})
    return [(row["path"], person, row["split"]) for row, person in zip(rows, people, strict=True)]


def split_by_person(photos: PhotoSet, *, share: float, seed: int) -> BoolArray:
    """Draw people with two or more photos for validation; return which photos are theirs.

    No person is in both parts (identity-disjoint). `share` of these people are drawn, but at least
    two, and at least two are left. A photo set that comes with a split keeps it. Raises
    TrainingError for too few people, and if the given split has a person in both parts.
    """
    if photos.validation.any():
        both = np.intersect1d(photos.labels[photos.validation], photos.labels[~photos.validation])
        if (both != UNKNOWN).any():
            name = photos.people[int(both[both != UNKNOWN][0])]
            raise TrainingError(f"{photos.root}: {name} is in both train and validation")
        return photos.validation
    labels, counts = np.unique(photos.labels[photos.labels != UNKNOWN], return_counts=True)
    candidates = labels[counts >= 2]
    if len(candidates) < 4:
        raise TrainingError(
            f"{photos.root}: {len(candidates)} people with two or more photos; training and "
            "validation need two each"
        )
    drawn = min(max(2, round(share * len(candidates))), len(candidates) - 2)
    chosen = np.random.default_rng(seed).permutation(candidates)[:drawn]
    return np.isin(photos.labels, chosen)


class BatchSampler:
    """P×K batches: P people with K photos each, then photos of anybody.

    The batch of a step depends only on the seed and the step, so that an interrupted run continues
    with the same batches. If a person has fewer than K photos, all of them are used, and photos of
    anybody fill the batch: it always has P·K + `others` rows, since networks run fastest on one
    shape. A person with one photo is used as a negative only.
    """

    def __init__(
        self, labels: IntArray, *, people: int, photos: int, others: int, seed: int
    ) -> None:
        named = np.flatnonzero(labels != UNKNOWN)
        order = named[np.argsort(labels[named], kind="stable")]
        _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
        groups = [order[start : start + count] for start, count in zip(starts, counts, strict=True)]
        self.groups = [group for group in groups if len(group) >= 2]
        self.total = len(labels)
        self.people, self.photos, self.others, self.seed = people, photos, others, seed
        if people and len(self.groups) < 2:
            raise TrainingError("triplets need at least two people with two photos each")
        # A person is drawn in proportion to the root of the number of their photos: 80 photos
        # teach more than two, but not forty times more.
        weights = np.sqrt([len(group) for group in self.groups])
        self.weights = weights / weights.sum()

    def batch(self, step: int) -> IntArray:
        """Return the photo indices of one step: first those of each person, then the others."""
        random = np.random.default_rng([self.seed, step])
        parts: list[IntArray] = []
        if self.people:
            count = min(self.people, len(self.groups))
            drawn = random.choice(len(self.groups), count, replace=False, p=self.weights)
            for group in drawn:
                members = self.groups[group]
                parts.append(random.permutation(members)[: self.photos])
        missing = self.people * self.photos + self.others - sum(map(len, parts))
        if missing:
            parts.append(random.choice(self.total, missing, replace=missing > self.total))
        return np.concatenate(parts)
