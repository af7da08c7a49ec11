"""How many frames a second one core takes at a gate, detection and all.

Run with `pytest tests/benchmarks --benchmark-only -n 0`; look at OPS, times the frames.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import recognizer_of
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from facecli.gate.engine import Gate
from facecli.gate.sources import source_of
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import gallery_at
from facecli.types import Detector, Encoder

RATE = 30.0
SECONDS = 3.0


@pytest.fixture
def gate(tmp_path: Path, real_detector: Detector, real_encoder: Encoder) -> Iterator[Gate]:
    """A gate with nobody enrolled, on one core."""
    path = tmp_path / "gallery.db"
    SqliteGallery(path).close()
    recognizer = recognizer_of(gallery_at(path), detector=real_detector, encoder=real_encoder)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield Gate(recognizer)
    os.sched_setaffinity(0, cores)


def measure(
    benchmark: BenchmarkFixture, gate: Gate, frames: list[tuple[Image.Image, float]]
) -> None:
    """Time the frames as if they went on for ever; say frames a second beside the source's."""
    clock = itertools.count()

    def pass_by() -> None:
        start = next(clock) * (SECONDS + 5)
        for picture, at in frames:
            gate.feed(picture if gate.due(start + at) else None, start + at)

    benchmark(pass_by)
    assert benchmark.stats is not None
    rate = len(frames) / benchmark.stats.stats.min
    benchmark.extra_info["frames a second"] = round(rate, 1)
    assert rate > len(frames) / SECONDS, f"{rate:.0f} frames/s is slower than they come"


@pytest.mark.benchmark(group="gate, 640×360", min_rounds=3, max_time=1)
@pytest.mark.parametrize("people", [1, 2])
def test_people_who_walk_by(benchmark: BenchmarkFixture, gate: Gate, people: int) -> None:
    """Portraits that move across a frame of 640 by 360, 30 a second."""
    portraits = [Image.open(path()).convert("RGB") for path in (grace_hopper, eileen_collins)]
    small = [portrait.resize((200, 240)) for portrait in portraits[:people]]
    frames = []
    for number in range(round(RATE * SECONDS)):
        picture = Image.new("RGB", (640, 360), (70, 80, 90))
        for place, portrait in enumerate(small):
            picture.paste(portrait, (20 + 300 * place + number, 60))
        frames.append((picture, number / RATE))
    measure(benchmark, gate, frames)


@pytest.mark.faces
@pytest.mark.benchmark(group="gate, 640×360", min_rounds=3, max_time=1)
def test_a_clip(benchmark: BenchmarkFixture, gate: Gate, faces: Path) -> None:
    """Three seconds of a real clip, of 30 frames a second, with one man in view."""
    pytest.importorskip("cv2")
    clip = faces / "photos" / "hamilton" / "short_hamilton_clip.mp4"
    found = source_of(str(clip), watch=False, stdin=lambda: pytest.fail("stdin was touched"))
    frames = [
        (picture, frame.at)
        for frame in found.frames(threading.Event(), pytest.fail)
        if frame.load and 3 <= frame.at < 3 + SECONDS and (picture := frame.load())
    ]
    measure(benchmark, gate, frames)
