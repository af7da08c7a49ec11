"""Nothing is looked at twice, nothing is skipped, and a scan cut short goes on where it was."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, fake_card, paint
from PIL import Image

from facecli.albums import scanning
from facecli.albums.scanning import scan
from facecli.faces import workers
from facecli.faces.acquisition import ENDED, acquire
from facecli.faces.chips import DLIB_GEOMETRY, geometry_at
from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.memory import Places
from facecli.stores.library import Library
from facecli.types import Acquisition, Detection, Detector, Failure, FloatArray, PixelArray

SLOW = 0.02
"""Seconds that the slow detector takes for a picture."""


class SlowDetector(FakeDetector):
    """Take long enough to be interrupted, longest for the first picture of every four."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Find painted faces after a while."""
        found = super().detect(pictures)
        red = found[0][0].box[0] if found and found[0] else 0
        time.sleep(SLOW * (3 if int(red) % 4 == 0 else 1))
        return found


class BrokenDetector(FakeDetector):
    """Fail as a bug would."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Raise."""
        raise RuntimeError("a bug")


class DeadlyDetector(FakeDetector):
    """Die as a process without memory does."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """End the process."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.fixture
def library() -> Iterator[Library]:
    with Library.memory() as library:
        yield library


def scanned(
    paths: Sequence[Path],
    library: Library,
    *,
    detector: Detector | None = None,
    model: str = "fake-128",
    workers: int = 1,
) -> list[EmbeddedPicture | Failure]:
    encoder = FakeEncoder(fake_card(model))
    detector = detector or FakeDetector()
    return list(scan(paths, library=library, detector=detector, encoder=encoder, workers=workers))


def searched(paths: Sequence[Path], library: Library, model: str = "fake-128") -> int:
    """Scan and return how often a detector was asked."""
    detector = FakeDetector()
    scanned(paths, library, detector=detector, model=model)
    return detector.seen


def painted_size(number: int) -> tuple[int, int]:
    """Return width and height of one of the painted pictures."""
    return 190 + number, 90


def painted(folder: Path, count: int) -> list[Path]:
    """Paint small pictures of one or two faces, now and then of none, all of them different."""
    return [
        paint(
            folder / f"{number:03}.png",
            *(
                PaintedFace(number % 16, number // 16 + 9 * place, 12 + number + 90 * place, 12, 60)
                for place in range((1, 2, 1, 1, 0, 1, 2, 1)[number % 8])
            ),
            size=painted_size(number),
        )
        for number in range(count)
    ]


def assert_same(
    one: Sequence[EmbeddedPicture | Failure], other: Sequence[EmbeddedPicture | Failure]
) -> None:
    """Compare all of two scans, the embeddings bit by bit."""

    def plain(result: EmbeddedPicture | Failure) -> object:
        if isinstance(result, Failure):
            return result
        return [*dataclasses.astuple(result)[:4], result.notes, result.embeddings.tobytes()]

    assert list(map(plain, one)) == list(map(plain, other))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_scan_gives_what_looking_at_each_photo_gives(
    tmp_path: Path, library: Library, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order given, failures in their places, with one process and with several."""
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0.0)
    paths = painted(tmp_path, 20)
    paths.insert(3, tmp_path / "missing.png")
    paths.insert(15, tmp_path / "broken.png")
    paths[15].write_bytes(b"no picture")
    acquired = acquire(paths, FakeDetector(), DLIB_GEOMETRY)
    expected = list(embed_pictures(acquired, FakeEncoder(), main_only=False))
    found = scanned(paths, library, detector=SlowDetector(), workers=count)
    assert_same(found, expected)
    assert [result.source for result in found] == list(map(str, paths))
    assert_same(scanned(paths, library, workers=count), expected)


def test_a_second_run_reads_no_file_and_searches_no_picture(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = painted(tmp_path, 20)
    first = scanned(paths, library)
    for module, name in ((scanning, "read_file"), (workers, "opened")):
        monkeypatch.setattr(module, name, lambda _: pytest.fail("opened a picture"))
    encoder = FakeEncoder()
    second = list(scan(paths, library=library, detector=FakeDetector(), encoder=encoder, workers=1))
    assert_same(second, first)
    assert encoder.batches == []


def test_another_model_takes_the_chips_and_opens_no_photo(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = painted(tmp_path, 20)
    first = scanned(paths, library)
    for module, name in ((scanning, "read_file"), (workers, "opened")):
        monkeypatch.setattr(module, name, lambda _: pytest.fail("opened a picture"))
    assert_same(scanned(paths, library, model="other"), first)
    counts = library.statistics().models
    assert counts["fake-128"] == counts["other"] == library.statistics().faces
    assert_same(scanned(paths, library), first)


def test_only_what_is_new_is_searched(tmp_path: Path, library: Library) -> None:
    paths = painted(tmp_path, 6)
    assert searched(paths[:4], library) >= 4
    detector = FakeDetector()
    scanned(paths, library, detector=detector)
    alone = FakeDetector()
    scanned(paths[4:], Library.memory(), detector=alone)
    assert detector.seen == alone.seen


def test_a_changed_file_is_looked_at_again(tmp_path: Path, library: Library) -> None:
    path = paint(tmp_path / "a.png", PaintedFace(0))
    (before,) = scanned([path], library)
    paint(path, PaintedFace(1))
    (after,) = scanned([path], library)
    assert isinstance(before, EmbeddedPicture)
    assert isinstance(after, EmbeddedPicture)
    assert float(before.embeddings[0] @ after.embeddings[0]) == pytest.approx(0)


def test_a_touched_moved_or_copied_file_is_not_searched_again(
    tmp_path: Path, library: Library
) -> None:
    path = paint(tmp_path / "a.png", PaintedFace(0))
    assert searched([path], library)
    os.utime(path, ns=(0, 12345))
    assert not searched([path], library)
    moved = path.rename(tmp_path / "sub-b.png")
    assert not searched([moved], library)
    (tmp_path / "c.png").write_bytes(moved.read_bytes())
    assert not searched([tmp_path / "c.png", moved], library)


@pytest.mark.parametrize("broken", [False, True])
def test_copies_within_one_scan_are_all_answered(
    tmp_path: Path, library: Library, broken: bool
) -> None:
    """And searched once, unless they cannot be read, which is not remembered."""
    first = paint(tmp_path / "0.png", PaintedFace(3))
    data = b"broken" if broken else first.read_bytes()
    paths = [tmp_path / f"{number}.png" for number in range(30)]
    for path in paths:
        path.write_bytes(data)
    once = searched([paths[0]], Library.memory())
    detector = FakeDetector()
    found = scanned(paths, library, detector=detector)
    assert [result.source for result in found] == list(map(str, paths))
    assert detector.seen == once
    assert {type(result) for result in found} == {Failure if broken else EmbeddedPicture}
    assert library.statistics().photos == (0 if broken else 1)


def test_failures_are_not_remembered(tmp_path: Path, library: Library) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"half a picture")
    (failure,) = scanned([path], library)
    assert failure == Failure(str(path), "not a picture in a known format")
    paint(path, PaintedFace(0))
    (found,) = scanned([path], library)
    assert isinstance(found, EmbeddedPicture)


def test_a_name_that_is_not_text_is_a_name(tmp_path: Path) -> None:
    path = paint(tmp_path / os.fsdecode(b"caf\xe9 \xff.png"), PaintedFace(0))
    with Library(tmp_path / "photos.db") as library:
        first = scanned([path], library)
        assert not searched([path], library)
        assert_same(scanned([path], library), first)
        assert library.forget([path]).photos == 1


def test_another_geometry_cuts_its_own_chips(tmp_path: Path, library: Library) -> None:
    """And leaves those of the first where they are."""
    path = paint(tmp_path / "a.png", PaintedFace(0))
    scanned([path], library)
    small = dataclasses.replace(fake_card("small"), geometry=geometry_at(112))

    class SmallEncoder(FakeEncoder):
        def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
            assert {len(chip) for chip in chips} == {112}
            return np.tile(embedding(0, 0), (len(chips), 1))

    encoder = SmallEncoder(small)
    list(scan([path], library=library, detector=FakeDetector(), encoder=encoder, workers=1))
    assert not searched([path], library)
    (result,) = scanned([path], library)
    assert isinstance(result, EmbeddedPicture)
    (chip,) = library.chips([(result.sha256, 0)])
    assert chip.shape == (112, 112, 3)


@pytest.mark.parametrize(
    "damage",
    ["UPDATE chip SET pixels = x'00'", "UPDATE embedding SET vector = zeroblob(512)"],
)
def test_what_is_damaged_is_made_again(tmp_path: Path, library: Library, damage: str) -> None:
    paths = painted(tmp_path, 5)
    first = scanned(paths, library)
    with library.writing() as database:
        database.execute(damage)
    scanned(paths, library, model="other")
    assert_same(scanned(paths, library), first)
    assert_same(scanned(paths, library, model="other"), first)


def test_few_photos_are_in_hand_at_a_time(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory does not grow with the number of photos."""
    paths = painted(tmp_path, 60)
    begun: list[Path] = []
    submit = workers.Searchers.submit

    def noted(
        searchers: workers.Searchers, path: Path, places: Places | None
    ) -> Future[Acquisition | Failure]:
        begun.append(path)
        return submit(searchers, path, places)

    monkeypatch.setattr(workers.Searchers, "submit", noted)
    results = scan(
        paths, library=library, detector=FakeDetector(), encoder=FakeEncoder(), workers=1
    )
    next(results)
    assert 0 < len(begun) < 20
    results.close()
    assert len(begun) < 20


def test_a_scan_left_early_keeps_what_it_saw(tmp_path: Path, library: Library) -> None:
    paths = painted(tmp_path, 30)
    results = scan(
        paths, library=library, detector=FakeDetector(), encoder=FakeEncoder(), workers=1
    )
    seen = [next(results) for _ in range(10)]
    results.close()
    assert library.statistics().photos >= len(seen)
    assert searched(paths[:10], library) == 0


@pytest.mark.slow
def test_processes_end_with_the_scan(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with one left early and with one whose photos all fail."""
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0.0)
    paths = painted(tmp_path, 30)
    results = scan(
        paths, library=library, detector=SlowDetector(), encoder=FakeEncoder(), workers=2
    )
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []
    failed = scanned(paths, Library.memory(), detector=BrokenDetector(), workers=2)
    assert {one.reason for one in failed if isinstance(one, Failure)} == {"RuntimeError: a bug"}
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_process_that_is_killed_is_a_failure_and_not_a_skip(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0.0)
    failed = scanned(painted(tmp_path, 3), library, detector=DeadlyDetector(), workers=2)
    assert [one.reason for one in failed if isinstance(one, Failure)] == [ENDED] * 3
    assert multiprocessing.active_children() == []


def test_the_version_of_the_finder_stands_for_its_settings() -> None:
    """A setting changed without a new version would leave old faces in use: give both anew here."""
    from facecli.faces import chips
    from facecli.faces import finding as search
    from facecli.models import detector_confirm as confirm
    from facecli.models import detector_search as propose
    from facecli.models import detector_weights, detectors, mtcnn

    assert chips.ALIGNMENT_VERSION == "similarity-5pt-1"
    assert search.SEARCH_VERSION == "look-3"
    assert (search.AGAIN_CONFIDENCE, search.BORDER, search.COPY_PIXELS) == (0.996, 0.25, 480_000)
    assert detectors.YuNetONet.version == "yunet-onet-1"
    assert detector_weights.load(detectors.SHIPPED)[1].fingerprint.startswith("8136585e725c")
    assert (
        *(propose.WHOLE_PIXELS, propose.COARSE_PIXELS, propose.ENLARGED_SIDE, propose.FINE_SCALE),
        *(propose.MOST_REDUCED, propose.STEP, propose.TILE, propose.OVERLAP, propose.LEAST_SIDE),
        *(propose.MIN_PROPOSAL, propose.FINE_PROPOSAL, propose.SAME_PROPOSAL),
    ) == (480_000, 307_200, 500, 0.6, 12, 6, 768, 20, 8, 0.2, 0.15, 0.3)
    assert (
        *(confirm.MIN_EVIDENCE, confirm.SCORE_WEIGHT, confirm.SECOND_LOOK, confirm.SURE),
        *(confirm.TURNED_EVIDENCE, confirm.TURNED_SCORE, confirm.SAME_FACE),
    ) == (3.9, 0.5, 1.0, 5.5, 4.5, 0.4, 0.6)
    assert pytest.approx(0.2618, abs=1e-4) == confirm.MAX_TILT
    assert mtcnn.MTCNNDetector.version == "mtcnn-2"
    assert (
        *(mtcnn.LONGEST_SIDE, mtcnn.MIN_FACE, mtcnn.MIN_CONFIDENCE, mtcnn.MAX_ROLL),
        *(mtcnn.MAX_MISFIT, mtcnn._STAGE_THRESHOLDS, mtcnn.NEAR_BORDER, mtcnn.SURROUNDINGS),
        mtcnn.SAME_FACE,
    ) == (1600, 24, 0.97, 60.0, 25.0, [0.7, 0.7, 0.97], 0.3, 1.0, 0.2)
