"""The run folder: the state of a run, so that it can be continued, its log and its curves."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facecli.datasets import PhotoSet
from facecli.errors import TrainingError
from facecli.faces.tables import table_text
from facecli.files import PRIVATE, replacing
from facecli.text import read_json_object
from facecli.training.steps import Step
from facecli.training.story import Moment
from facecli.types import BoolArray, FloatArray, IntArray

MOMENT = "moment-"
"""The file of a moment has this name and the step."""


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run. A write that fails raises TrainingError with the reason."""

    path: Path

    @property
    def state(self) -> Path:
        """The file with the state that a resumed run continues from."""
        return self.path / "state.safetensors"

    @property
    def log(self) -> Path:
        """The file with the reports, one JSON object per line."""
        return self.path / "log.jsonl"

    @property
    def curves(self) -> Path:
        """The picture with the curves of the run."""
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    def make(self) -> None:
        """Make the folder, which only its owner can read, if it is not there."""
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)  # it holds photos of people, and who they are

    def begin(self, settings: dict[str, Any], *, resume: bool) -> bool:
        """Store the settings of a run; tell whether there is a state to continue from.

        Raises TrainingError if the state of another run would be lost, or if the run to resume
        had other settings.
        """
        noted = self.path / "config.json"
        plain = json.loads(json.dumps(settings))
        if resume and noted.is_file():
            earlier = _read_json(noted)
            changed = sorted(_differences(earlier, plain))
            if changed:
                raise TrainingError(
                    f"{self.path}: was started with other settings ({', '.join(changed)}); use "
                    "the same ones to resume, or remove the folder to start again"
                )
        elif self.state.exists():
            raise TrainingError(
                f"{self.path}: holds an earlier run; continue it with --resume, or remove "
                f"{self.state.name} to start again"
            )
        self.make()
        with self._writing():
            _write(noted, json.dumps(plain, indent=1).encode())
            if not self.state.exists():
                self.log.unlink(missing_ok=True)
                (self.path / "before.npy").unlink(missing_ok=True)
                self._forget_moments(-1)
        return self.state.exists()

    def write_split(self, photos: PhotoSet, validation: BoolArray) -> None:
        """Store the person and the part of each photo, in a table that `train` can read as DATA."""
        names = [photos.people[label] if label >= 0 else "" for label in photos.labels]
        parts = ["validation" if held else "train" for held in validation]
        rows = zip(photos.paths, names, parts, strict=True)
        text = table_text(["path", "person", "split"], rows)
        with self._writing():
            _write(self.path / "split.csv", text.encode(errors="backslashreplace"))

    def write_table(self, name: str, photos: PhotoSet, labels: IntArray) -> None:
        """Store path and person of the photos of some people, in a table that DATA may be."""
        rows = [
            (str((photos.root / path).resolve()), photos.people[label])
            for path, label in zip(photos.paths, photos.labels, strict=True)
            if label in labels
        ]
        text = table_text(["path", "person"], rows)
        with self._writing():
            _write(self.path / name, text.encode(errors="backslashreplace"))

    def write_skipped(self, skipped: Sequence[str]) -> None:
        """List the photos that could not be used, one per line."""
        with self._writing():
            lines = "".join(line.replace("\n", " ") + "\n" for line in skipped)
            text = lines.encode("utf-8", errors="backslashreplace")
            _write(self.path / "skipped.txt", text)

    def append(self, step: Step) -> None:
        """Add one report to the log."""
        with self._writing(), self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(step)) + "\n")

    def steps(self) -> list[Step]:
        """Return the reports logged so far, without a line that a killed run left unfinished."""
        steps = []
        try:
            lines = self.log.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                steps.append(Step(**read_json_object(line)))
            except (ValueError, TypeError):
                continue
        return steps

    def forget_after(self, step: int) -> None:
        """Remove reports and moments after the saved state: those steps are trained again."""
        kept = [json.dumps(dataclasses.asdict(one)) for one in self.steps() if one.step <= step]
        with self._writing():
            _write(self.log, "".join(line + "\n" for line in kept).encode())
            self._forget_moments(step)

    def keep_before(self, embeddings: FloatArray) -> None:
        """Store the embeddings (n, 128) of the validation photos by the model to compare with."""
        with self._writing(), replacing(self.path / "before.npy", mode=PRIVATE) as stream:
            np.save(stream, embeddings)

    def before(self) -> FloatArray | None:
        """Return the embeddings that `keep_before` stored; None if there are none."""
        try:
            kept: FloatArray = np.load(self.path / "before.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return kept

    def keep_moment(self, moment: Moment) -> None:
        """Store the embeddings of a moment, in the place of an earlier one of the same step."""
        with self._writing(), replacing(self._moment(moment.step), mode=PRIVATE) as stream:
            np.savez(
                stream,
                embeddings=moment.embeddings,
                labels=moment.labels,
                synthetic=moment.synthetic,
            )

    def moments_kept(self) -> list[int]:
        """Return the steps of the moments stored, in order."""
        numbers = (path.stem.removeprefix(MOMENT) for path in self.path.glob(f"{MOMENT}*.npz"))
        return sorted(int(number) for number in numbers if number.isascii() and number.isdigit())

    def moments(self) -> list[Moment]:
        """Return the moments stored, in the order of their steps, without any that are broken."""
        found = []
        for step in self.moments_kept():
            try:
                with np.load(self._moment(step), allow_pickle=False) as kept:
                    parts = (kept["embeddings"], kept["labels"], kept["synthetic"])
                found.append(Moment(step, *parts))
            except (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile):
                continue
        return found

    def _moment(self, step: int) -> Path:
        return self.path / f"{MOMENT}{step}.npz"

    def _forget_moments(self, after: int) -> None:
        for step in self.moments_kept():
            if step > after:
                self._moment(step).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{self.path}: cannot be written: {reason}") from error


def _write(path: Path, content: bytes) -> None:
    with replacing(path, mode=PRIVATE) as stream:
        stream.write(content)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = read_json_object(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    return read


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of the entries in which two nested records differ."""
    for name in one.keys() | other.keys():
        first, second = one.get(name), other.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from _differences(first, second, f"{prefix}{name}.")
        elif first != second:
            yield prefix + name
