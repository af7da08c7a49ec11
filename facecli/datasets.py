"""Photos of known people: read from folders or lists, split by person, drawn in P×K batches."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.faces.photo_files import find_pictures
from facecli.types import BoolArray, IntArray

UNKNOWN = -1
"""Label of a photo whose person is not known."""


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Photos with labels: `labels[i]` is an index of `people`, or UNKNOWN.

    `paths` are relative to `root`. `validation` marks the photos that are not for training. `loose`
    are pictures outside the folders of people; they are not part of the set.
    """

    root: Path
    paths: tuple[str, ...]
    labels: IntArray
    people: tuple[str, ...]
    validation: BoolArray
    loose: tuple[str, ...] = ()

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


def read_photo_set(data: Path, *, unlabelled: Sequence[str] = ()) -> PhotoSet:
    """Read a folder of people, or a manifest: a CSV file with the columns path, person and split.

    In a folder, `find_pictures` finds the photos. The person of a photo is the path of its folder,
    relative to `data`; photos below one of the folders in `unlabelled` have no person. In a
    manifest, paths are relative to the file, a photo without a person has an empty one, and split
    is `train`, `validation` or empty. Raises TrainingError if there are no photos.
    """
    loose: tuple[str, ...] = ()
    if data.is_dir():
        rows, loose = _scan(data, frozenset(unlabelled))
    elif data.is_file():
        rows = _read_manifest(data)
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
        loose=loose,
    )


def _scan(
    data: Path, unlabelled: frozenset[str]
) -> tuple[list[tuple[str, str, str]], tuple[str, ...]]:
    """Return path, person and split of the photos in the folders of people, and the loose paths.

    A folder without permission to read counts as a photo that cannot be opened, so that it is
    reported.
    """
    rows, loose = [], []
    for path in find_pictures([data]):
        if path == data:
            raise TrainingError(f"{data}: no permission to read this folder")
        folder = path if path.is_dir() else path.parent
        person = folder.relative_to(data).as_posix()
        relative = path.relative_to(data)
        if folder == data:
            loose.append(relative.as_posix())
        else:
            named = relative.parts[0] not in unlabelled
            rows.append((relative.as_posix(), person if named else "", ""))
    return rows, tuple(loose)


def _read_manifest(path: Path) -> list[tuple[str, str, str]]:
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"path", "person"} <= set(reader.fieldnames or ()):
                raise TrainingError(f"{path}: a manifest needs the columns path and person")
            for line, row in enumerate(reader, start=2):
                split = (row.get("split") or "").strip()
                if split not in ("", "train", "validation"):
                    raise TrainingError(f"{path}, line {line}: split is {split!r}")
                if not row["path"]:
                    raise TrainingError(f"{path}, line {line}: no path")
                rows.append((row["path"], (row["person"] or "").strip(), split))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path}: cannot be read as a manifest: {error}") from error
    return rows


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
