"""The run folder: what an interrupted run continues from, and what is left to look at."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facecli.datasets import PhotoSet
from facecli.errors import TrainingError
from facecli.files import PRIVATE, replacing
from facecli.training.loop import Step
from facecli.types import BoolArray, FloatArray


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run. Every write that fails raises TrainingError with the reason."""

    path: Path

    @property
    def state(self) -> Path:
        """Where the trainer keeps what a resumed run continues from."""
        return self.path / "state.safetensors"

    @property
    def log(self) -> Path:
        """One JSON object a line for each report."""
        return self.path / "log.jsonl"

    @property
    def curves(self) -> Path:
        """The picture of the run."""
        return self.path / "curves.png"

    def begin(self, settings: dict[str, Any], *, resume: bool) -> bool:
        """Note the settings of a run; tell whether there is a state to continue from.

        Raises TrainingError if another run's state would be lost, or if a run that is to be
        resumed had other settings.
        """
        noted = self.path / "config.json"
        plain = json.loads(json.dumps(settings))
        if resume and noted.is_file():
            earlier = _read_json(noted)
            changed = sorted(_differences(earlier, plain))
            if changed:
                raise TrainingError(
                    f"{self.path}: was begun with other settings ({', '.join(changed)}); repeat "
                    "those to resume it, or remove the folder to begin anew"
                )
        elif self.state.exists():
            raise TrainingError(
                f"{self.path}: holds an earlier run; --resume continues it, and without "
                f"{self.state.name} a new one begins"
            )
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)  # aligned photos of people lie in it, and who they are
            _write(noted, json.dumps(plain, indent=1).encode())
            if not self.state.exists():
                self.log.unlink(missing_ok=True)
                (self.path / "before.npy").unlink(missing_ok=True)
        return self.state.exists()

    def write_split(self, photos: PhotoSet, validation: BoolArray) -> None:
        """Store which photo is whose and in which part, as a table that train can read again."""
        names = [photos.people[label] if label >= 0 else "" for label in photos.labels]
        parts = ["validation" if held else "train" for held in validation]
        with (
            self._writing(),
            (self.path / "split.csv").open("w", newline="", encoding="utf-8") as (stream),
        ):
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["path", "person", "split"])
            table.writerows(zip(photos.paths, names, parts, strict=True))

    def write_skipped(self, skipped: Sequence[str]) -> None:
        """List the photos that could not be used, a line each."""
        with self._writing():
            lines = "".join(line.replace("\n", " ") + "\n" for line in skipped)
            text = lines.encode("utf-8", errors="backslashreplace")
            _write(self.path / "skipped.txt", text)

    def append(self, step: Step) -> None:
        """Add one report to the log."""
        with self._writing(), self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(step)) + "\n")

    def steps(self) -> list[Step]:
        """Return the reports logged so far; a line cut off by a kill is left out."""
        steps = []
        try:
            lines = self.log.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                steps.append(Step(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return steps

    def forget_after(self, step: int) -> None:
        """Drop from the log what happened after the saved state, since it will happen again."""
        kept = [json.dumps(dataclasses.asdict(one)) for one in self.steps() if one.step <= step]
        with self._writing():
            _write(self.log, "".join(line + "\n" for line in kept).encode())

    def keep_before(self, embeddings: FloatArray) -> None:
        """Keep what the model to compare with gives for the validation photos, (n, 128)."""
        with self._writing():
            temporary = self.path / ".before.part.npy"
            np.save(temporary, embeddings)
            temporary.replace(self.path / "before.npy")

    def before(self) -> FloatArray | None:
        """Return what `keep_before` kept, if it did."""
        try:
            kept: FloatArray = np.load(self.path / "before.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return kept

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
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    return read


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names under which two nested records differ."""
    for name in one.keys() | other.keys():
        first, second = one.get(name), other.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from _differences(first, second, f"{prefix}{name}.")
        elif first != second:
            yield prefix + name
