"""One bad photo among twenty: nineteen are done, one line names it, the exit code says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from PIL import Image

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.faces import workers
from facecli.types import Detection, FloatArray, PixelArray

DONE = ("embedding", "clustered_face")

KILLER = 15
"""The plane of the face in the bad photo."""

ERRORS = [
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    OverflowError("cannot convert float infinity to integer"),
    OSError(5, "Input/output error"),
    AssertionError(),
]


def shows_killer(pixels: PixelArray) -> bool:
    return bool((pixels[..., 0] == 128 + KILLER).any())


class FailingDetector(FakeDetector):
    """Raise at the bad photo, whatever is to be raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Find painted faces, or raise."""
        if any(shows_killer(np.asarray(one)) for one in pictures):
            raise self.error
        return super().detect(pictures)


class KillingDetector(FakeDetector):
    """End the process at the bad photo, as a limit of memory does; slow enough for two of them."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Find painted faces, or die."""
        if any(shows_killer(np.asarray(one)) for one in pictures):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(pictures)


class FailingEncoder(FakeEncoder):
    """Raise at a batch that holds the face of the bad photo."""

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed painted faces, or raise."""
        if any(shows_killer(chip) for chip in chips):
            raise MemoryError
        return super().embed(chips)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Return a folder of ten people with two photos each; one photo of the last is the killer."""
    folder = tmp_path / "people"
    for plane in range(10):
        for angle in range(2):
            bad = (plane, angle) == (9, 1)
            face = PaintedFace(KILLER if bad else plane, angle)
            paint(folder / f"P{plane}" / f"{'killer' if bad else angle}.png", face)
    return folder


@pytest.fixture(autouse=True)
def own_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "gallery.db"))


def run(*words: object, detector: FakeDetector, encoder: FakeEncoder | None = None) -> Result:
    settings = Settings(detector=detector, encoder=encoder or FakeEncoder())
    return CliRunner().invoke(cli, [str(word) for word in words], obj=settings)


def records(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def named(result: Result) -> list[str]:
    """Return the lines of stderr that name the killer."""
    return [line for line in result.stderr.splitlines() if "killer.png" in line]


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_embed_does_the_others(people: Path, error: BaseException) -> None:
    result = run("embed", people, detector=FailingDetector(error))
    done = [one for one in records(result) if "embedding" in one]
    assert len(done) == 19
    assert len(named(result)) == 1
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_embed_does_the_others_if_embedding_fails(people: Path) -> None:
    result = run("embed", people, detector=FakeDetector(), encoder=FailingEncoder())
    assert len([one for one in records(result) if "embedding" in one]) == 19
    assert len(named(result)) == 1
    assert "out of memory" in named(result)[0]
    assert result.exit_code == 2


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda one: type(one).__name__)
def test_cluster_does_the_others(people: Path, error: BaseException) -> None:
    result = run("cluster", people, "--json", detector=FailingDetector(error))
    assert len([one for one in records(result) if one["kind"] == "clustered_face"]) == 19
    assert len(named(result)) == 1
    assert result.exit_code == 2


@pytest.mark.slow
def test_a_process_that_is_killed_costs_its_own_photo(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes its place, also when it was the only one."""
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0.0)
    for count in (2, 3):
        for copy in range(3):
            shutil.copy(people / "P9" / "killer.png", people / "P9" / f"{copy}-killer.png")
        detector = KillingDetector()
        result = run("cluster", people, "--json", "--workers", count, detector=detector)
        assert len([one for one in records(result) if one["kind"] == "clustered_face"]) == 19
        assert len(named(result)) == 4
        assert "maybe for lack of memory" in named(result)[0]
        assert result.exit_code == 2


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda one: type(one).__name__)
def test_enroll_does_the_others(people: Path, error: BaseException) -> None:
    result = run("enroll", "--from", people, "--json", detector=FailingDetector(error))
    outcomes = [one for one in records(result) if one["kind"] == "enrollment"]
    assert len([one for one in outcomes if one["outcome"] == "accepted"]) == 19
    assert [one["path"] for one in outcomes if one["outcome"] != "accepted"] == [
        str(people / "P9" / "killer.png")
    ]
    assert result.exit_code != 0


@pytest.mark.parametrize("what", ["folders", "clustering", "identification", "robustness"])
def test_evaluate_does_the_others(people: Path, what: str) -> None:
    result = run("evaluate", what, people, "--json", detector=FailingDetector(MemoryError()))
    assert len(named(result)) == 1
    assert "out of memory" in named(result)[0]
    assert records(result)
    assert result.exit_code == 2


class ShortDetector(FakeDetector):
    """Lack memory once for each photo, as beside one that takes all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: set[int] = set()

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Find painted faces, or lack memory the first time."""
        plane = int(np.asarray(pictures[0])[..., 0].max())
        if plane not in self.failed:
            self.failed.add(plane)
            raise MemoryError
        return super().detect(pictures)


@pytest.mark.parametrize("command", ["embed", "cluster"])
def test_a_photo_that_lacked_memory_beside_another_is_tried_by_itself(
    people: Path, command: str
) -> None:
    result = run(command, people, "--json", detector=ShortDetector())
    assert len([one for one in records(result) if one["kind"] in DONE]) == 20
    assert result.exit_code == 0


def test_calibrate_and_train_verifier_do_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for person in range(45):
        plane, angle = divmod(person, 3)
        for photo in range(2):
            face = PaintedFace(plane, 25 * angle + photo)
            paint(folder / f"P{person}" / f"{photo}.png", face)
    paint(folder / "P3" / "killer.png", PaintedFace(KILLER))
    detector = FailingDetector(MemoryError())
    result = run("calibrate", "--from", folder, "--far", 0.1, "--json", detector=detector)
    assert len(named(result)) == 1
    assert [one["kind"] for one in records(result)] == ["calibration"]
    assert result.exit_code == 2
    words = ("train-verifier", folder, "--out", tmp_path / "v.json", "--far", 0.1)
    result = run(*words, detector=detector)
    assert len(named(result)) == 1
    assert (tmp_path / "v.json").exists()
    assert result.exit_code == 2


@pytest.mark.parametrize("ready_made", [False, True])
def test_train_reads_the_others(
    people: Path, tmp_path: Path, ready_made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both times: when the chips are made, and when they are read again."""
    from facecli.datasets import read_photo_set
    from facecli.faces.acquisition import acquire
    from facecli.faces.chips import DLIB_GEOMETRY
    from facecli.training.chipstore import load_chips

    def resized(image: Image.Image, *rest: object) -> Image.Image:
        if shows_killer(np.asarray(image)):
            raise MemoryError
        return image.crop((0, 0, DLIB_GEOMETRY.size, DLIB_GEOMETRY.size))

    if ready_made:
        monkeypatch.setattr(Image.Image, "resize", resized)
    detector = FailingDetector(MemoryError())
    for _ in range(2):
        store = load_chips(
            read_photo_set(people),
            tmp_path / "run",
            geometry=DLIB_GEOMETRY,
            acquire=None
            if ready_made
            else lambda files, geometry: acquire(files, detector, geometry),
        )
        assert store.usable.sum() == 19
        assert store.unreadable == 1
        (line,) = store.skipped
        assert "killer.png: out of memory" in line


def test_a_photo_that_may_not_be_read_costs_no_other(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root every file may be read, so the system's answers are put in place of its own."""
    sealed = people / "P9" / "killer.png"
    asked, opened = os.access, Path.open

    def access(path: object, mode: int, **rest: object) -> bool:
        return Path(str(path)) != sealed and asked(str(path), mode)

    def open_(path: Path, *rest: object, **more: object) -> object:
        if path == sealed:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(Path, "open", open_)
    good = people / "P0" / "0.png"
    for words in (["embed", good, sealed], ["cluster", good, people / "P0" / "1.png", sealed]):
        result = run(*words, "--json", detector=FakeDetector())
        assert len([one for one in records(result) if "face" in one]) == len(words) - 2
        assert "permission denied" in named(result)[0]
        assert result.exit_code == 2
    for words in (["identify", good, sealed], ["enroll", "Ada", good, sealed]):
        run("enroll", "P1", people / "P1" / "0.png", detector=FakeDetector())
        result = run(*words, detector=FakeDetector())
        assert "killer.png" in result.stdout
        assert "permission denied" in result.stdout


def test_a_frame_that_cannot_be_searched_does_not_end_the_gate(
    people: Path, tmp_path: Path
) -> None:
    run("enroll", "P1", people / "P1" / "0.png", detector=FakeDetector())
    for number, plane in enumerate((1, KILLER, 0)):
        paint(tmp_path / "gate" / f"{number}.png", PaintedFace(plane))
    (tmp_path / "gate" / "1.png").rename(tmp_path / "gate" / "1-killer.png")
    words = ("identify", "--source", tmp_path / "gate", "--log", tmp_path / "log.db")
    result = run(*words, detector=FailingDetector(MemoryError()))
    assert [one["status"] for one in records(result)] == ["match", "unknown"]
    assert len(named(result)) == 1
    assert "out of memory" in named(result)[0]
