"""The gate with a model of whole pictures: each decision is about one thing, and never a blank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEncoder, PaintedFace, embedding, picture_card, pixels_of, recognizer_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_gate import LOOK, NOWHERE, FakeWatch

from facecli.faces.frames import glimpse
from facecli.faces.whole import WholePicture
from facecli.gate.engine import Gate
from facecli.gate.types import GateEvent
from facecli.recognition.decisions import Status
from facecli.recognition.identify import KnownPeople
from facecli.types import TemplateMatrix

pytestmark = pytest.mark.base

APPLE, PEAR, NUT = (0, 0), (1, 0), (5, 0)
"""Things by plane and angle in steps. An apple and a pear are enrolled."""

QUINCE = (0, 20)
"""Enrolled too: no apple, but there are looks at a threshold's distance from both."""

BETWEEN = (0, 10)


class Shelf(FakeWatch):
    """Three things that are enrolled."""

    def now(self, **_: int) -> None:
        rows = np.stack([embedding(*one) for one in (APPLE, PEAR, QUINCE)])
        ids = np.arange(3, dtype=np.int64)
        names = {0: "Apple", 1: "Pear", 2: "Quince"}
        self.people = KnownPeople(TemplateMatrix(ids, ids, rows, names))


class Belt:
    """Feed a gate one frame a look and gather what it says; a frame is wider than high."""

    def __init__(self) -> None:
        encoder = FakeEncoder(picture_card())
        recognizer = recognizer_of(NOWHERE, detector=WholePicture(), encoder=encoder)
        self.gate = Gate(recognizer, people=Shelf())
        self.looks = 0
        self.events: list[GateEvent] = []

    def __call__(self, *things: tuple[int, int], times: int = 1) -> None:
        for _ in range(times):
            for thing in things or [None]:
                sighting = self.gate.feed(_frame(thing), self.looks * LOOK, source="belt")
                self.events += sighting.events
                self.looks += 1
                self.in_view = sighting.faces

    def end(self) -> list[tuple[Status, str | None]]:
        self.events += self.gate.finish(self.looks * LOOK)
        return [(one.status, one.person) for one in self.events]


def _frame(thing: tuple[int, int] | None) -> Image.Image:
    if thing is None:
        return Image.new("RGB", (160, 120), "black")
    plane, angle = thing
    return Image.fromarray(pixels_of(PaintedFace(plane, angle, left=20, top=0), size=(160, 120)))


@pytest.fixture
def belt() -> Belt:
    return Belt()


def test_a_thing_is_named_after_three_looks(belt: Belt) -> None:
    belt(APPLE, times=3)
    (event,) = belt.events
    assert (event.status, event.person, event.looks, event.usable) == ("match", "Apple", 3, 3)
    (seen,) = belt.in_view
    assert (seen.state, seen.person, seen.notes) == ("match", "Apple", ())
    assert seen.box == (19.5, -0.5, 139.5, 119.5)


def test_each_of_several_things_is_named_in_its_turn(belt: Belt) -> None:
    belt(APPLE, times=4)
    belt(PEAR, times=4)
    belt(NUT, times=10)
    assert belt.end() == [
        (Status.MATCH, "Apple"),
        (Status.MATCH, "Pear"),
        (Status.UNKNOWN, None),
    ]


def test_looks_at_two_things_confirm_neither(belt: Belt) -> None:
    belt(APPLE, APPLE, PEAR, PEAR, times=6)
    assert belt.end() == []


def test_a_thing_that_takes_the_place_of_one_much_like_it_is_named(belt: Belt) -> None:
    """The looks between are near enough to both to be taken for the same thing."""
    belt(APPLE, times=4)
    belt(BETWEEN)
    belt(QUINCE, times=4)
    assert belt.end() == [(Status.MATCH, "Apple"), (Status.MATCH, "Quince")]
    (seen,) = belt.in_view
    assert (seen.state, seen.person) == ("match", "Quince")


def test_a_thing_put_on_an_unknown_ground_is_named(belt: Belt) -> None:
    """The ground is like the thing, so that only the name tells that something has come."""
    ground = (0, 43)
    belt(ground, times=10)
    belt((0, 31), times=4)
    assert belt.end() == [(Status.UNKNOWN, None), (Status.MATCH, "Quince")]


def test_a_blank_frame_shows_nothing(belt: Belt) -> None:
    belt(times=20)
    assert belt.in_view == ()
    assert belt.end() == []


def test_a_blank_frame_between_two_things_joins_nothing(belt: Belt) -> None:
    belt(APPLE, APPLE)
    belt()
    belt(PEAR, PEAR)
    assert belt.events == []
    belt(PEAR)
    assert belt.end() == [(Status.MATCH, "Pear")]


@given(st.lists(st.sampled_from([APPLE, PEAR, QUINCE, NUT, BETWEEN, None]), max_size=40))
def test_a_name_is_said_only_after_three_looks_in_a_row_that_show_it(
    shown: list[tuple[int, int] | None],
) -> None:
    names = {APPLE: "Apple", PEAR: "Pear", QUINCE: "Quince"}
    belt = Belt()
    for place, thing in enumerate(shown):
        before = len(belt.events)
        belt(*([thing] if thing else []))
        for event in belt.events[before:]:
            if event.person is not None:
                seen = [one for one in shown[: place + 1] if one is not None][-3:]
                assert [names.get(one) for one in seen if one] == [event.person] * 3


def test_a_large_frame_is_taken_in_full_size() -> None:
    """Faces are searched on a smaller copy, whose sizes are rounded."""
    wide = Image.effect_noise((1283, 967), 60).convert("RGB")
    (seen,) = glimpse(wide, WholePicture(), FakeEncoder(picture_card()))
    assert seen.box == (157.5, -0.5, 1124.5, 966.5)
    assert seen.embedding is not None


def test_a_folder_of_frames_at_the_command_line(tmp_path: Path) -> None:
    import json

    from click.testing import CliRunner
    from fakes import paint_thing

    from facecli.cli import cli
    from facecli.cli.settings import Settings

    def run(*words: object) -> tuple[int, str]:
        settings = Settings(encoder=FakeEncoder(picture_card()))
        texts = [*map(str, words), "--db", str(tmp_path / "gallery.db")]
        result = CliRunner().invoke(cli, texts, obj=settings)
        return result.exit_code, result.stdout

    assert run("enroll", "Apple", paint_thing(tmp_path / "apple.png", 0))[0] == 0
    for number, plane in enumerate((0, 1, 0)):
        paint_thing(tmp_path / "frames" / f"{number}.png", plane)
    code, out = run("identify", "--source", tmp_path / "frames", "--log", tmp_path / "log.db")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["status"], one["person"]) for one in found][:2] == [
        ("match", "Apple"),
        ("unknown", None),
    ]
