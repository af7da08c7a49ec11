"""The input of a run: photos, who is in them, which are held out, their chips and targets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecli.datasets import PhotoSet, read_photo_set, split_by_person
from facecli.errors import TrainingError
from facecli.text import name_key
from facecli.training.batches import TrainingData
from facecli.training.chipstore import Acquire, ChipStore, load_chips
from facecli.training.config import TrainingConfig, read_toml
from facecli.training.folder import RunFolder
from facecli.training.outlines import read_outlines
from facecli.training.targets import read_targets
from facecli.training.tasks import Task, TaskLabels, check_tasks, read_task
from facecli.types import BoolArray, ChipGeometry, FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """The data of a run and the path of its model: all that is not part of the config.

    `chips` and `validation_chips` mean that the photos in `data` and `validation` are aligned chips
    already. People are folders `depth` levels below `data`. `validation` is a photo set of other
    people, to compare models and to calibrate the new one; without it some people of `data` are
    held out. `data_card` describes the data and their terms. `time_budget` is in seconds.
    `outlines` is a table of which part of each chip is photo and not padding. With `whole` the
    model shall look at whole pictures of anything, not at faces. `tasks` are trained beside.
    """

    data: Path
    out: Path
    device: str = "cpu"
    depth: int = 1
    chips: bool = False
    unlabelled: tuple[str, ...] = ()
    targets: Path | None = None
    validation: Path | None = None
    validation_chips: bool = False
    data_card: Path | None = None
    outlines: Path | None = None
    resume: bool = False
    time_budget: float = math.inf
    promote: bool = False
    whole: bool = False
    tasks: tuple[Task, ...] = ()

    @property
    def name(self) -> str:
        """The name of the new model."""
        return self.out.stem

    @property
    def folder(self) -> RunFolder:
        """The run folder, next to the model."""
        return RunFolder(self.out.with_suffix(".run"))


@dataclass(frozen=True, slots=True)
class Listeners:
    """Called as the run goes on.

    `say` gets a line of text, `begin` a number of photos and what happens to them, `on_photo` is
    called after each photo, and `unreadable` with the number of photos that could not be read.
    """

    say: Callable[[str], None] = lambda _: None
    begin: Callable[[int, str], None] = lambda _, __: None
    on_photo: Callable[[], None] = lambda: None
    unreadable: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The validation photos: chips uint8 (n, size, size, 3), labels (n,), number of failures.

    `rows` (n,) are their places in the data; None if they come from elsewhere. `names` are the
    people or classes, which labels count.
    """

    chips: PixelArray
    labels: IntArray
    skipped: int
    names: tuple[str, ...]
    rows: IntArray | None = None


@dataclass(frozen=True, slots=True)
class Photos:
    """All photos of the data, which of them are held out (n,), and their targets (n, 128).

    `outlines` (n, 4, 2) are the corners of what is not padding, rows of NaN if all is photo.
    `tasks` have a label for each photo.
    """

    photos: PhotoSet
    held_back: BoolArray
    targets: FloatArray | None
    outlines: FloatArray | None = None
    tasks: tuple[TaskLabels, ...] = ()

    def digest(self) -> str:
        """Return a hash of the paths, people and targets, and of which photos are held out."""
        photos = self.photos
        digest = hashlib.sha256(repr((photos.paths, photos.labels.tolist())).encode())
        digest.update(self.held_back.tobytes())
        digest.update(b"" if self.targets is None else self.targets.tobytes())
        for one in self.tasks:
            digest.update(repr((one.task.name, one.task.numbers, one.labels.tolist())).encode())
        return digest.hexdigest()


def read_data_card(path: Path | None) -> dict[str, Any]:
    """Read the user's description of the data: `licence`, `description`, and a list of `data`.

    Each entry of `data` has a name and terms. Raises TrainingError for anything else.
    """
    if path is None:
        return {}
    read = read_toml(path)
    known = {"licence": str, "description": str, "data": list}
    for name, value in read.items():
        if not isinstance(value, known.get(name, ())):
            raise TrainingError(f"{path}: {name} is unknown or of the wrong type")
    for entry in read.get("data", []):
        texts = isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values())
        if not texts or not {"name", "terms"} <= entry.keys():
            raise TrainingError(f"{path}: each data entry needs a name and terms, both text")
    return read


def read_photos(request: TrainingRequest, config: TrainingConfig) -> Photos:
    """Find the photos of a request; without validation data of its own, hold some people out."""
    photos = read_photo_set(request.data, unlabelled=request.unlabelled, depth=request.depth)
    targets = read_targets(request.targets, photos.paths) if request.targets else None
    if request.validation is None:
        held_back = split_by_person(photos, share=config.validation_share, seed=config.seed)
    else:
        held_back = photos.validation
    outlines = read_outlines(request.outlines, photos.paths) if request.outlines else None
    check_tasks(request.tasks, config.dimension)
    tasks = tuple(read_task(one, photos) for one in request.tasks)
    return Photos(photos, held_back, targets, outlines, tasks)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the chips of a request, or cuts them out of photos with `acquire`."""

    request: TrainingRequest
    geometry: ChipGeometry
    acquire: Acquire
    tell: Listeners
    border: int = 0

    def read(self, photos: Photos) -> tuple[TrainingData, HeldOut]:
        """Return the training data and the validation photos; list the photos that are skipped."""
        request, labels = self.request, photos.photos.labels
        wide = widened(self.geometry, self.border)
        store = self._load(photos.photos, "chips", wide, ready_made=request.chips)
        skipped = [*store.skipped]
        if request.validation is None:
            rows = np.flatnonzero(photos.held_back & store.usable & (labels >= 0))
            failed = int((photos.held_back & ~store.usable).sum())
            inner = slice(self.border, self.border + self.geometry.size)
            held_out = HeldOut(
                chips=store.chips[rows][:, inner, inner],
                labels=labels[rows],
                skipped=failed,
                names=photos.photos.people,
                rows=rows,
            )
        else:
            held_out, more = self._read_validation(request.validation, photos.photos)
            skipped += more
        request.folder.write_skipped(skipped)
        if skipped:
            noun = "photo" if len(skipped) == 1 else "photos"
            self.tell.say(
                f"{len(skipped)} {noun} skipped, listed in {request.folder.path / 'skipped.txt'}; "
                f"the first: {skipped[0]}"
            )
        rows = np.flatnonzero(~photos.held_back & store.usable)
        targets = None if photos.targets is None else photos.targets[rows]
        return TrainingData(store.chips, labels[rows], targets, rows), held_out

    def _read_validation(self, path: Path, trained: PhotoSet) -> tuple[HeldOut, list[str]]:
        photos = read_photo_set(path)
        trained_on = set(map(name_key, trained.people))
        if both := [name for name in photos.people if name_key(name) in trained_on]:
            raise TrainingError(f"{path}: {both[0]} is also in {self.request.data}")
        ready_made = self.request.validation_chips
        store = self._load(photos, "validation", self.geometry, ready_made=ready_made)
        rows = np.flatnonzero(store.usable & (photos.labels >= 0))
        failed = int((~store.usable).sum())
        held_out = HeldOut(store.chips[rows], photos.labels[rows], failed, photos.people)
        return held_out, [*store.skipped]

    def _load(
        self, photos: PhotoSet, name: str, geometry: ChipGeometry, *, ready_made: bool
    ) -> ChipStore:
        if photos.said:
            self.tell.say(photos.said)
        self.tell.begin(len(photos), f"Reading {name}")
        store = load_chips(
            photos,
            self.request.folder.path / name,
            geometry=geometry,
            acquire=None if ready_made else self.acquire,
            on_photo=self.tell.on_photo,
        )
        self.tell.unreadable(store.unreadable)
        return store


def widened(geometry: ChipGeometry, border: int) -> ChipGeometry:
    """Return the geometry with `border` more pixels on each side; the face keeps its size."""
    one, two, three, four, five = ((x + border, y + border) for x, y in geometry.landmarks)
    return ChipGeometry(size=geometry.size + 2 * border, landmarks=(one, two, three, four, five))


def check_data(data: TrainingData, request: TrainingRequest, config: TrainingConfig) -> None:
    """Raise TrainingError for data that the config cannot learn from."""
    _, counts = np.unique(data.labels[data.labels >= 0], return_counts=True)
    pairs = int((counts >= 2).sum())
    if config.people and config.photos > len(config.takes) and pairs < 2:
        raise TrainingError(
            f"{request.data}: {pairs} people with two or more usable photos to train on; triplets "
            "need at least two"
        )
    if data.targets is None and not (config.people and config.triplet_weight):
        raise TrainingError(f"{request.data}: without targets and triplets there is no loss")
    if data.targets is not None and data.targets.shape[1] != config.dimension:
        raise TrainingError(
            f"{request.targets}: targets have {data.targets.shape[1]} numbers, and embeddings "
            f"{config.dimension}"
        )
    if data.targets is not None and config.contrast_weight:
        missing = int(np.isnan(data.targets[:, 0]).sum())
        if missing:
            raise TrainingError(
                f"{request.targets}: contrast_weight needs a target for every photo; "
                f"{missing} of {len(data.targets)} have none"
            )
