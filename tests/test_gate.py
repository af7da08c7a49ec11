"""The gate on painted faces: one decision an appearance, and never a wrong name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from fakes import (
    THRESHOLD,
    FakeDetector,
    PaintedFace,
    embedding,
    pixels_of,
    recognizer_of,
    squared_l2_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facecli.gate.engine import Gate
from facecli.gate.types import DEFAULTS, GateEvent, GateSettings, Sighting
from facecli.models import DIMENSION
from facecli.recognition.decisions import Status
from facecli.recognition.identify import KnownPeople
from facecli.stores.opening import gallery_at
from facecli.types import TemplateMatrix

ADA, BOB, STRANGER = PaintedFace(plane=0), PaintedFace(plane=1), PaintedFace(plane=5)
RIGHT = 220
"""Left edge of a second face."""

LOOK = 0.2
NOWHERE = gallery_at("no gallery here")


class FakeWatch:
    """People by name and plane, who can be changed under the gate's feet."""

    def __init__(self, **planes: int) -> None:
        self.now(**planes)

    def now(self, **planes: int) -> None:
        rows = [embedding(plane, 0) for plane in planes.values()]
        vectors = np.stack(rows) if rows else np.empty((0, DIMENSION), np.float32)
        ids = np.array(list(planes.values()), np.int64)
        matrix = TemplateMatrix(ids, ids, vectors, {plane: name for name, plane in planes.items()})
        self.people = KnownPeople(matrix)

    def known(self) -> KnownPeople:
        return self.people


@pytest.fixture
def watch() -> FakeWatch:
    return FakeWatch(Ada=0, Bob=1)


def gate_of(
    watch: FakeWatch, settings: GateSettings = DEFAULTS, detector: FakeDetector | None = None
) -> Gate:
    """Return a gate that knows the people of `watch`; there is no gallery."""
    return Gate(recognizer_of(NOWHERE, detector=detector), settings, people=watch)


@pytest.fixture
def gate(watch: FakeWatch) -> Gate:
    return gate_of(watch)


@cache
def frame(*faces: PaintedFace) -> Image.Image:
    return Image.fromarray(pixels_of(*faces))


class Show:
    """Feed a gate one frame a look and gather what it says."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.looks = 0
        self.events: list[GateEvent] = []

    def __call__(self, *faces: PaintedFace, times: int = 1) -> Sighting:
        for _ in range(times):
            sighting = self.gate.feed(frame(*faces), self.at, source="door")
            self.events += sighting.events
            self.looks += 1
        return sighting

    @property
    def at(self) -> float:
        return self.looks * LOOK

    def nothing(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK)):
            self()

    def end(self) -> None:
        self.events += self.gate.finish(self.at)

    @property
    def said(self) -> list[tuple[Status, str | None]]:
        return [(event.status, event.person) for event in self.events]


@pytest.fixture
def show(gate: Gate) -> Show:
    return Show(gate)


def test_the_third_look_makes_a_match_and_says_all_about_it(show: Show) -> None:
    near = replace(ADA, angle=4)
    show(near, times=2)
    assert not show.events
    sighting = show(near)
    (event,) = show.events
    assert (event.status, event.person, event.source) == (Status.MATCH, "Ada", "door")
    assert event.squared_l2 == pytest.approx(squared_l2_of(4), abs=1e-5)
    assert (event.looks, event.usable, event.threshold, event.people) == (3, 3, THRESHOLD, 2)
    assert [one.name for one in event.candidates] == ["Ada", "Bob"]
    (face,) = sighting.faces
    assert (face.state, face.person, face.track) == ("match", "Ada", event.track)


def test_an_appearance_is_announced_once_however_long_it_lasts(show: Show) -> None:
    show(ADA, times=30)
    show(STRANGER, times=30)
    assert show.said == [(Status.MATCH, "Ada"), (Status.UNKNOWN, None)]


def test_a_person_is_announced_again_only_after_the_cooldown(show: Show) -> None:
    show(ADA, times=5)
    show.nothing(5)
    show(ADA, times=5)
    assert len(show.events) == 1, "gone for half of the ten seconds"
    show.nothing(12)
    show(ADA, times=5)
    assert show.said == [(Status.MATCH, "Ada")] * 2


def test_a_stranger_is_announced_again_only_after_the_cooldown_and_another_at_once(
    show: Show,
) -> None:
    show(STRANGER, times=10)
    show.nothing(3)
    show(STRANGER, times=10)
    assert show.said == [(Status.UNKNOWN, None)]
    show.nothing(3)
    show(replace(STRANGER, plane=6), times=10)
    assert len(show.events) == 2


@pytest.mark.parametrize(
    "poor",
    [replace(ADA, blurred=True), replace(ADA, dark=True), replace(ADA, turn=0.7, plane=0)],
    ids=["blurred", "dark", "turned"],
)
def test_poor_looks_do_not_count(show: Show, poor: PaintedFace) -> None:
    sighting = show(poor, times=20)
    assert not show.events
    (face,) = sighting.faces
    assert face.state == "looking"
    assert face.notes
    show.nothing(2)
    (event,) = show.events
    assert (event.status, event.person, event.usable) == (Status.UNKNOWN, None, 0)
    assert face.notes[0] in event.reason


def test_a_match_does_not_show_while_the_face_cannot_be_seen_well(show: Show) -> None:
    show(ADA, times=5)
    (face,) = show(replace(ADA, blurred=True)).faces
    assert (face.state, face.person) == ("looking", None)
    (face,) = show(ADA).faces
    assert (face.state, face.person) == ("match", "Ada")


def test_another_face_in_the_same_place_never_inherits_the_name(show: Show) -> None:
    """As when a film is cut."""
    show(ADA, times=5)
    sighting = show(STRANGER)
    assert [face.state for face in sighting.faces] == ["looking"]
    sighting = show(BOB, times=3)
    assert [face.person for face in sighting.faces] == ["Bob"]
    show.end()
    assert (Status.MATCH, "Bob") in show.said
    assert len([one for one in show.events if one.person == "Ada"]) == 1


def test_a_face_that_drifts_from_one_person_to_another_is_not_the_other(show: Show) -> None:
    """From look to look it is one face; those that see Ada and those that see nobody disagree."""
    for angle in (7, 14, 21, 14, 21, 14, 21, 14, 7):
        show(replace(ADA, angle=angle))
    assert show.said == [(Status.AMBIGUOUS, None)]


def test_nobody_is_twice_in_a_frame(show: Show) -> None:
    """Of two faces of Ada's plane only the nearer can be her."""
    show(ADA, replace(ADA, angle=12, left=RIGHT), times=12)
    show.end()
    assert show.said == [(Status.MATCH, "Ada"), (Status.UNKNOWN, None)]


def test_whoever_is_in_view_already_is_not_also_a_newcomer(show: Show) -> None:
    """Also while her own face cannot be seen well."""
    show(ADA, times=5)
    show(replace(ADA, blurred=True), replace(ADA, angle=12, left=RIGHT), times=12)
    assert show.said == [(Status.MATCH, "Ada"), (Status.AMBIGUOUS, None)]


def test_two_people_are_followed_apart(show: Show) -> None:
    sighting = show(ADA, replace(BOB, left=RIGHT), times=5)
    assert {(face.person, face.box[0]) for face in sighting.faces} == {
        ("Ada", 40.0),
        ("Bob", float(RIGHT)),
    }
    assert len(show.events) == 2


def test_a_face_seen_once_is_no_appearance(show: Show) -> None:
    show(STRANGER)
    show.nothing(2)
    show.end()
    assert not show.events


def test_the_end_of_the_source_decides_about_whoever_is_in_view(show: Show) -> None:
    show(STRANGER, times=4)
    assert not show.events
    show.end()
    assert show.said == [(Status.UNKNOWN, None)]


def test_frames_that_are_not_due_are_not_searched_and_boxes_move_on(watch: FakeWatch) -> None:
    detector = FakeDetector()
    gate = gate_of(watch, detector=detector)
    gate.feed(frame(ADA), 0.0)
    gate.feed(frame(replace(ADA, left=60)), LOOK)
    assert not gate.due(1.5 * LOOK)
    (face,) = gate.feed(frame(), 1.5 * LOOK).faces
    assert face.box[0] == pytest.approx(70)
    assert detector.seen == 2


def test_a_large_frame_is_searched_small_and_answered_in_its_own_pixels(watch: FakeWatch) -> None:
    gate = gate_of(watch)
    large = frame(ADA).resize((1600, 960), Image.Resampling.NEAREST)
    (face,) = gate.feed(large, 0.0).faces
    assert face.box == pytest.approx((160, 160, 640, 640), abs=5)


def test_a_forgotten_person_stops_matching_at_the_next_frame(watch: FakeWatch, show: Show) -> None:
    assert show(ADA, times=5).faces[0].person == "Ada"
    watch.now(Bob=1)
    for _ in range(12):
        assert show(ADA).faces[0].person is None
    assert show.said == [(Status.MATCH, "Ada"), (Status.UNKNOWN, None)]


def test_a_forgotten_person_who_comes_back_is_a_stranger_at_once(
    watch: FakeWatch, show: Show
) -> None:
    show(ADA, times=5)
    watch.now(Bob=1)
    show.nothing(2)
    show(ADA, times=10)
    assert show.said == [(Status.MATCH, "Ada"), (Status.UNKNOWN, None)]


def test_a_change_of_others_announces_nobody_again(watch: FakeWatch, show: Show) -> None:
    faces = (ADA, replace(STRANGER, left=RIGHT))
    show(*faces, times=10)
    watch.now(Ada=0, Bob=1, Eve=3)
    show(*faces, times=10)
    assert len(show.events) == 2


def test_a_stranger_enrolled_in_view_becomes_a_match(watch: FakeWatch, show: Show) -> None:
    show(STRANGER, times=10)
    watch.now(Ada=0, Eve=5)
    show(STRANGER, times=3)
    assert show.said == [(Status.UNKNOWN, None), (Status.MATCH, "Eve")]


def test_one_look_is_enough_where_one_is_asked_for(watch: FakeWatch) -> None:
    show = Show(gate_of(watch, replace(DEFAULTS, confirm=1)))
    show(BOB)
    assert show.said == [(Status.MATCH, "Bob")]


def test_nobody_enrolled_is_nobody_matched() -> None:
    show = Show(gate_of(FakeWatch()))
    show(ADA, times=9)
    assert show.said == [(Status.UNKNOWN, None)]


@pytest.mark.parametrize(
    "wrong",
    [{"confirm": 0}, {"candidates": 0}, {"cooldown": -1.0}, {"look_seconds": -1.0}, {"gap": 5.0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GateSettings(**wrong)


@pytest.mark.parametrize("mode", ["array", "L", "RGBA"])
def test_a_frame_that_is_not_rgb_is_a_type_error(gate: Gate, mode: str) -> None:
    picture = frame(ADA)
    wrong: Any = np.asarray(picture) if mode == "array" else picture.convert(mode)
    with pytest.raises(TypeError, match="mode RGB"):
        gate.feed(wrong, 0.0)


FACES = st.builds(
    PaintedFace, plane=st.sampled_from([0, 1, 5]), angle=st.sampled_from([0, 10, 14, 16, 30])
)


@settings(max_examples=15)
@given(st.lists(st.tuples(FACES, st.booleans()), min_size=1, max_size=10))
def test_whatever_is_shown_a_name_takes_three_looks_at_that_person(
    looks: Iterable[tuple[PaintedFace, bool]],
) -> None:
    """Whoever is announced was seen within the threshold in the last three looks that counted."""
    show = Show(gate_of(FakeWatch(Ada=0, Bob=1)))
    within = []
    for face, blurred in looks:
        before = len(show.events)
        show(replace(face, blurred=blurred))
        if not blurred:
            near = squared_l2_of(face.angle) <= THRESHOLD
            within.append({0: "Ada", 1: "Bob"}.get(face.plane) if near else None)
        for event in show.events[before:]:
            if event.status is Status.MATCH:
                assert within[-3:] == [event.person] * 3
