"""Read lists of photo pairs: LFW's own files, and CSV.

LFW's format is described in its pairs.txt (Huang et al., "Labeled Faces in the Wild", UMass
technical report 07-49, 2007). The first line has the number of folds and of pairs in a fold, or of
pairs only. Then each fold has that number of genuine pairs (name, number, number), and the same
number of impostor pairs (name, number, name, number).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import FacecliError
from facecli.faces.tables import TABLE_SUFFIXES, read_table, read_text
from facecli.types import BoolArray, IntArray

LISTS = ("pairs.txt", "pairsDevTest.txt")
"""Names of LFW's lists: View 2, for results, then the one for development."""

IMAGE_FOLDERS = (".", "images", "lfw")
"""Folders that may hold LFW's people, relative to the given folder."""

TRUE, FALSE = {"1", "true", "yes", "same"}, {"0", "false", "no", "different"}


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs of photos, all (n,): `same` is true if both photos are of the same person.

    `folds` is the number of the fold of each pair, from 0; all are 0 if the list has no folds.
    """

    source: Path
    first: tuple[Path, ...]
    second: tuple[Path, ...]
    same: BoolArray
    folds: IntArray

    @property
    def photos(self) -> list[Path]:
        """Every photo once, sorted."""
        return sorted({*self.first, *self.second})


def read_pairs(place: Path, pairs: Path | None = None) -> PairList:
    """Read the pairs of LFW's folder `place`, from `pairs` or from the list in or beside it.

    A list that ends in .csv or .tsv is a table with the columns a, b and same, and paths relative
    to the list; `place` may be such a list. Raises FacecliError if the list is missing, empty or
    broken. A missing photo is an error too, because results on a part of the pairs are not
    comparable.
    """
    if pairs is None:
        pairs = place if place.is_file() else _find_list(place)
    is_table = pairs.suffix.lower() in TABLE_SUFFIXES
    listed = _read_table(pairs) if is_table else _read_lfw(place, pairs, read_text(pairs))
    if not len(listed.same):
        raise FacecliError(f"{pairs}: no pairs in it")
    missing = [photo for photo in listed.photos if not photo.is_file()]
    if missing:
        raise FacecliError(
            f"{pairs}: {len(missing)} of its {len(listed.photos)} photos are missing, "
            f"{missing[0]} for one"
        )
    return listed


def _find_list(place: Path) -> Path:
    if not place.is_dir():
        raise FacecliError(f"{place}: no such folder")
    for name in LISTS:
        for folder in (place, place.absolute().parent):
            if (folder / name).is_file():
                return folder / name
    raise FacecliError(f"{place}: neither {' nor '.join(LISTS)} in it or beside it: use --pairs")


def _read_lfw(place: Path, source: Path, text: str) -> PairList:
    lines = [
        line.split("\t" if "\t" in line else None) for line in text.splitlines() if line.strip()
    ]
    try:
        folds, size = [1, *map(int, lines[0])][-2:]
    except (IndexError, ValueError):
        raise FacecliError(f"{source}, line 1: not the numbers of folds and pairs") from None
    body = lines[1:]
    if min(folds, size) < 1 or len(body) != 2 * folds * size:
        raise FacecliError(f"{source}: {len(body)} pairs, not twice {folds} × {size}")
    root = _image_folder(place, body[0][0])
    photos, same = [], []
    for number, fields in enumerate(body):
        genuine = number // size % 2 == 0
        if genuine and len(fields) == 3:
            fields = [*fields[:2], fields[0], fields[2]]
        elif genuine or len(fields) != 4:
            expected = "name, number, number" if genuine else "name, number, name, number"
            raise FacecliError(f"{source}, line {number + 2}: not {expected}")
        if not all(fields[place].isdecimal() and len(fields[place]) < 9 for place in (1, 3)):
            raise FacecliError(f"{source}, line {number + 2}: a photo has no number")
        photos.append((_photo(root, *fields[:2]), _photo(root, *fields[2:])))
        same.append(genuine)
    return _pair_list(source, photos, same, np.arange(len(body)) // (2 * size))


def _image_folder(place: Path, person: str) -> Path:
    folders = [place / name for name in IMAGE_FOLDERS]
    return next((folder for folder in folders if (folder / person).is_dir()), place)


def _photo(root: Path, person: str, number: str) -> Path:
    return root / person / f"{person}_{int(number):04d}.jpg"


def _read_table(source: Path) -> PairList:
    table = read_table(source, ("a", "b", "same"))
    photos, same = [], []
    for row in table.whole_rows():
        answer = row["same"].lower()
        if not row["a"] or not row["b"] or answer not in TRUE | FALSE:
            raise FacecliError(f"{table.where(row)}: not two paths and 1 or 0")
        photos.append((source.parent / row["a"], source.parent / row["b"]))
        same.append(answer in TRUE)
    return _pair_list(source, photos, same, np.zeros(len(same), np.int64))


def _pair_list(
    source: Path, photos: Iterable[tuple[Path, Path]], same: list[bool], folds: IntArray
) -> PairList:
    first, second = zip(*photos, strict=True) if same else ((), ())
    return PairList(source, first, second, np.array(same, dtype=bool), folds)
