"""Folders and lists of people: scanning, identity-disjoint splits and P×K batches."""

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
    """Photos with labels: `labels[i]` indexes `people`, or is UNKNOWN for a photo of nobody named.

    `paths` are relative to `root`; `validation` marks the photos kept from training. `loose` are
    pictures found in no person's folder, which belong to nobody and are left out.
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
        """Return the photos where `keep` is true, with the labels they have."""
        chosen = np.flatnonzero(keep)
        return PhotoSet(
            root=self.root,
            paths=tuple(self.paths[i] for i in chosen),
            labels=self.labels[chosen],
            people=self.people,
            validation=self.validation[chosen],
        )


def read_photo_set(data: Path, *, unlabelled: Sequence[str] = ()) -> PhotoSet:
    """Read a folder of people or a manifest CSV with the columns path, person and split.

    In a folder, walked as `find_pictures` does, the person of a photo is the folder it lies in, as
    a path relative to `data`; folders under one of the names in `unlabelled` hold photos of nobody
    named. In a manifest an
    empty person means the same, paths are relative to the file, and split is `train`,
    `validation` or empty. Raises TrainingError if nothing usable is there.
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
    """Return path, person and split of the photos in people's folders, and the loose paths.

    A folder that may not be read stands for a photo in it, which cannot be opened: no silent skip.
    """
    rows, loose = [], []
    for path in find_pictures([data]):
        if path == data:
            raise TrainingError(f"{data}: a folder that may not be read")
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
    """Choose people with two or more photos for validation; return which photos are theirs.

    No person is in both parts (identity-disjoint). `share` of those people are drawn, at least
    two, and two at least are left; a split that the photo set came with is kept as it is, and
    checked.
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

    The batch of a step depends on the seed and the step alone, so that an interrupted run
    continues as if nothing had happened. A person with fewer than K photos gives all of theirs,
    and photos of anybody fill the batch, which has P·K + `others` rows at every step: networks
    run fastest on one shape. A person with one photo can only be somebody's negative.
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
        # A person is drawn in proportion to the root of their photo count: someone with 80
        # photos has more to teach than someone with two, but not forty times more.
        weights = np.sqrt([len(group) for group in self.groups])
        self.weights = weights / weights.sum()

    def batch(self, step: int) -> IntArray:
        """Return the photo indices of one step: grouped by person first, then the others."""
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
