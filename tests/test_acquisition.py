"""Every source is answered, in order; faces are found where a first look does not find them."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeDetector, PaintedFace, paint
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecli import portraits
from facecli.errors import FaceError, MissingExtra
from facecli.faces import acquisition
from facecli.faces import finding as search
from facecli.faces.acquisition import acquire
from facecli.faces.chips import DLIB_GEOMETRY, geometry_at
from facecli.faces.finding import find_faces, overlap
from facecli.faces.images import open_picture, read_picture
from facecli.models.detectors import YuNetONet
from facecli.types import Acquisition, Box, Detection, Failure, Landmarks, Picture, Point

pytestmark = pytest.mark.base

TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def acquired(found: Acquisition | Failure) -> Acquisition:
    assert isinstance(found, Acquisition), found
    return found


# Order, failures and memory, with painted faces


def test_sources_are_answered_in_order_and_failures_do_not_stop_the_rest(
    tmp_path: Path, detector: FakeDetector
) -> None:
    good = paint(tmp_path / "good.png", PaintedFace())
    two = paint(tmp_path / "two.png", PaintedFace(side=90), PaintedFace(left=200, side=110))
    empty = paint(tmp_path / "nobody.png")
    broken = tmp_path / "broken\n.jpg"
    broken.write_bytes(b"no picture")
    missing = tmp_path / "missing.jpg"
    sources: list[Path | Picture] = [
        good,
        broken,
        two,
        missing,
        empty,
        tmp_path,
        read_picture(good.read_bytes(), "-"),
    ]
    results = list(acquire(sources, detector, DLIB_GEOMETRY))
    assert [result.source for result in results[:-1]] == [str(source) for source in sources[:-1]]
    assert results[-1].source == "-"
    counts = [len(one.faces) if isinstance(one, Acquisition) else -1 for one in results]
    assert counts == [1, -1, 2, -1, 0, -1, 1]
    assert results[1] == Failure(str(broken), "not a picture in a known format")
    assert results[3] == Failure(str(missing), "no such file or directory")
    assert results[5] == Failure(str(tmp_path), "a folder, not a picture")


def test_what_is_found_is_described(tmp_path: Path, detector: FakeDetector) -> None:
    path = paint(tmp_path / "a.png", PaintedFace(left=30, side=90), PaintedFace(left=200, side=150))
    (result,) = acquire([path], detector, geometry_at(100))
    found = acquired(result)
    assert (found.source, found.size, found.notes) == (str(path), (400, 240), ())
    assert found.sha256 == open_picture(path).sha256
    assert [face.detection.box[0] for face in found.faces] == [200, 30]
    assert [chip.shape for chip in found.chips] == 2 * [(100, 100, 3)]
    assert found.faces[0].quality.eye_distance == pytest.approx(54.74 / 150 * 150, abs=0.1)


def test_no_sources_no_answers(detector: FakeDetector) -> None:
    assert list(acquire([], detector, DLIB_GEOMETRY)) == []


@pytest.mark.slow
def test_few_pictures_are_held_at_once(
    tmp_path: Path, detector: FakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the list, sources are taken and decoded only a few ahead of the answers."""
    path = paint(tmp_path / "a.png", PaintedFace())
    taken = 0

    def sources() -> Iterator[Path]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield path

    for answered, _ in enumerate(acquire(sources(), detector, DLIB_GEOMETRY)):
        assert taken <= answered + 2 + acquisition.AHEAD + acquisition.SEARCHERS
    assert taken == 100


def test_giving_up_half_way_leaves_no_thread(tmp_path: Path, detector: FakeDetector) -> None:
    path = paint(tmp_path / "a.png", PaintedFace())
    running = acquire([path] * 50, detector, DLIB_GEOMETRY)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert [thread for thread in threading.enumerate() if thread.name.startswith("faces")] == []


def test_a_face_that_cannot_be_cut_is_a_failure_of_its_picture(
    tmp_path: Path, detector: FakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*arguments: object) -> None:
        raise FaceError("the landmarks do not span a face")

    monkeypatch.setattr(acquisition, "cut_chip", cut)
    path = paint(tmp_path / "a.png", PaintedFace())
    assert list(acquire([path], detector, DLIB_GEOMETRY)) == [
        Failure(str(path), "the landmarks do not span a face")
    ]


def test_an_error_of_the_program_is_the_failure_of_its_picture_and_called_by_its_name(
    tmp_path: Path, detector: FakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detect(pictures: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(detector, "detect", detect)
    path = paint(tmp_path / "a.png", PaintedFace())
    (found,) = acquire([path], detector, DLIB_GEOMETRY)
    assert found == Failure(str(path), "RuntimeError: out of memory")


# The ways back from a look, with a detector that sees one marked pixel


class MarkDetector:
    """See a face where a red mark is, upright if the mark's green neighbour is to its right.

    The landmarks are the default ones about the mark, so that every coordinate can be told.
    """

    version = "mark-1"

    def __init__(self, *, least_side: int = 1, least_margin: int = 0) -> None:
        self.least_side = least_side
        self.least_margin = least_margin

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        return [self._one(np.asarray(picture).astype(int)) for picture in pictures]

    def _one(self, pixels: np.ndarray[tuple[int, int, int], np.dtype[np.int64]]) -> list[Detection]:
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)
        green = (pixels[..., 1] > 200) & (pixels[..., 0] < 90) & (pixels[..., 2] < 90)
        if not red.any() or max(pixels.shape) < self.least_side:
            return []
        x, y = centre(red)
        u, v = centre(green)
        height, width = red.shape
        if u <= x + 1 or abs(v - y) > 1 or min(x, y, width - x, height - y) < self.least_margin:
            return []
        return [mark_at(x, y)]


def centre(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Point:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def mark_at(x: float, y: float) -> Detection:
    landmarks: Landmarks = ((x - 1, y - 2), (x + 1, y - 2), (x, y), (x - 1, y + 2), (x + 1, y + 2))
    return Detection(box=(x - 3, y - 4, x + 5, y + 6), landmarks=landmarks, confidence=0.999)


def marked(width: int, height: int, x: int, y: int) -> Image.Image:
    """Return a grey picture with a red mark of 4 by 4 pixels at (x, y) and a green to its right."""
    pixels = np.full((height, width, 3), 128, dtype=np.uint8)
    pixels[y : y + 4, x : x + 4] = (255, 0, 0)
    pixels[y : y + 4, x + 4 : x + 8] = (0, 255, 0)
    return Image.fromarray(pixels)


positions = st.tuples(
    st.integers(330, 500), st.integers(330, 500), st.integers(40, 280), st.integers(40, 280)
)


@pytest.mark.slow
@given(place=positions, turn=st.sampled_from([90, 180, 270]))
def test_faces_of_a_turned_picture_come_back_in_its_own_coordinates(
    place: tuple[int, int, int, int], turn: int
) -> None:
    """Turn a picture away; what is found must be the upright face's places turned away too."""
    width, height, x, y = place
    picture = marked(width, height, x, y).transpose(TURNS[turn])
    found, notes = find_faces(picture, MarkDetector())
    # Turning it back by what is left to a full circle is what makes it upright.
    assert notes == (
        f"found in the picture turned {360 - turn}° counter-clockwise and given a border",
    )
    upright = mark_at(x + 1.5, y + 1.5)
    right, bottom = width - 1, height - 1

    def turned(point: Point) -> Point:
        a, b = point
        return {90: (b, right - a), 180: (right - a, bottom - b), 270: (bottom - b, a)}[turn]

    (face,) = found
    assert np.allclose(face.landmarks, [turned(point) for point in upright.landmarks], atol=0.01)
    corners = np.array([turned(upright.box[:2]), turned(upright.box[2:])])
    assert np.allclose(face.box, [*corners.min(axis=0), *corners.max(axis=0)], atol=0.01)


def test_a_face_that_needs_room_is_found_with_a_border() -> None:
    found, notes = find_faces(marked(400, 400, 2, 3), MarkDetector(least_margin=60))
    assert notes == ("found in the picture given a border",)
    (face,) = found
    assert np.allclose(face.landmarks[2], (3.5, 4.5), atol=0.01)


def test_a_large_picture_is_reduced_before_anything_is_made_of_it() -> None:
    """The looks after the first are at small copies, and their answers are in the full picture."""
    sizes: list[int] = []

    class Measuring(MarkDetector):
        def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
            sizes.extend(picture.width * picture.height for picture in pictures)
            return super().detect(pictures)

    picture = marked(3000, 2000, 1000, 600).resize((3000, 2000), Image.Resampling.NEAREST)
    pixels = np.array(picture)
    pixels[600:640, 1000:1040], pixels[600:640, 1040:1080] = (255, 0, 0), (0, 255, 0)
    upside_down = Image.fromarray(pixels).transpose(TURNS[180])
    ((face,), notes) = find_faces(upside_down, Measuring())
    assert notes == ("found in the picture turned 180° counter-clockwise and given a border",)
    assert np.allclose(face.landmarks[2], (2999 - 1019.5, 1999 - 619.5), atol=4)
    assert sizes[0] == 3000 * 2000
    assert max(sizes[1:]) < 2 * search.COPY_PIXELS


def test_a_long_thin_picture_gets_a_thin_border() -> None:
    sizes: list[tuple[int, int]] = []

    class Measuring(MarkDetector):
        def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
            sizes.extend(picture.size for picture in pictures)
            return super().detect(pictures)

    assert find_faces(Image.new("RGB", (65000, 1)), Measuring()) == ([], ())
    assert max(width * height for width, height in sizes) < 4 * 65002


def test_an_upright_picture_is_looked_at_once() -> None:
    looks = 0

    class Counting(MarkDetector):
        def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
            nonlocal looks
            looks += len(pictures)
            return super().detect(pictures)

    _, notes = find_faces(marked(400, 400, 100, 100), Counting())
    assert (looks, notes) == (1, ())


# Doubtful orientations, with a detector that answers by orientation


class OrientationDetector:
    """Report one face with the confidence given for each way that a wide picture may be held."""

    version = "orientation-1"

    def __init__(self, confidences: dict[str, float]) -> None:
        self.confidences = confidences

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        found: list[list[Detection]] = []
        for picture in pictures:
            brightest = np.argmax(np.asarray(picture.convert("L").resize((3, 3))))
            side = {1: "up", 3: "left", 5: "right", 7: "down"}[int(brightest)]
            confidence = self.confidences.get(side, 0.0)
            middle = (picture.width / 2, picture.height / 2)
            face = Detection(
                (middle[0] - 9, middle[1] - 9, middle[0] + 9, middle[1] + 9),
                ((0, 0),) * 5,
                confidence,
            )
            found.append([face] if confidence else [])
        return found


def lit_from_above() -> Image.Image:
    """Return a picture whose top is bright, so that its orientation can be read off."""
    pixels = np.full((330, 330, 3), 128, dtype=np.uint8)
    pixels[:110, 110:220] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("confidences", "note"),
    [
        ({"up": 0.98, "left": 1.0}, ""),
        ({"left": 0.9999}, "turned 90°"),
        ({"down": 0.9999, "left": 0.999}, "turned 180°"),
        ({"right": 0.998}, "turned 270°"),
        ({"right": 0.99}, None),
        ({}, None),
    ],
)
def test_the_most_confident_orientation_wins_if_nothing_is_found_upright(
    confidences: dict[str, float], note: str | None
) -> None:
    found, notes = find_faces(lit_from_above(), OrientationDetector(confidences))
    assert bool(found) == (note is not None)
    if note:
        assert note in notes[0]
    else:
        assert notes == ()


# Overlap


boxes = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(a=boxes, b=boxes)
def test_overlap_is_intersection_over_union_counted_in_pixels(a: Box, b: Box) -> None:
    masks = []
    for left, top, right, bottom in (a, b):
        mask = np.zeros((40, 40), dtype=bool)
        mask[int(top) : int(bottom), int(left) : int(right)] = True
        masks.append(mask)
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert overlap(a, b) == pytest.approx(expected)


def test_boxes_without_area_overlap_nothing() -> None:
    assert overlap((3, 3, 3, 3), (3, 3, 3, 3)) == 0


# The real detector on real portraits


@pytest.fixture(scope="module")
def yunet() -> YuNetONet:
    return YuNetONet()


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    try:
        return open_picture(portraits.eileen_collins()).pixels
    except MissingExtra as error:
        pytest.skip(str(error))


def jpeg(picture: Image.Image) -> Picture:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return read_picture(buffer.getvalue(), "test")


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_sideways_portrait_gives_the_same_chip(
    yunet: YuNetONet, portrait: Image.Image, turn: int
) -> None:
    picture = portrait.transpose(TURNS[turn]) if turn else portrait
    straight, turned = (
        acquired(result)
        for result in acquire([jpeg(portrait), jpeg(picture)], yunet, DLIB_GEOMETRY)
    )
    assert len(turned.faces) == 1
    assert turned.notes == ()
    # Landmarks shake by a pixel between two looks, and so does the chip.
    difference = turned.chips[0].astype(int) - straight.chips[0]
    assert np.abs(difference).mean() < 12


@pytest.mark.network
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_a_portrait_cut_into_the_face_keeps_its_landmarks(
    yunet: YuNetONet, portrait: Image.Image, share: float
) -> None:
    """Cut from the left, up to a quarter into the face: the rest must stay where it was."""
    ((whole,), _) = find_faces(portrait, yunet)
    left, _, right, _ = whole.box
    edge = round(left + share * (right - left))
    cut = portrait.crop((edge, 0, 512, 512))
    found, _ = find_faces(cut, yunet)
    face = max(found, key=lambda face: overlap(face.box, (left - edge, *whole.box[1:])))
    offsets = [
        math.dist((x + edge, y), place)
        for (x, y), place in zip(face.landmarks, whole.landmarks, strict=True)
    ]
    eyes = math.dist(whole.landmarks[0], whole.landmarks[1])
    assert sum(offsets) / 5 < 0.12 * eyes


@pytest.mark.faces
@pytest.mark.network
def test_every_development_portrait_has_its_face(yunet: YuNetONet, faces: Path) -> None:
    """Cropped, partial, small, grey, transparent and large: each at least one face."""
    photos = faces / "photos"
    paths = [path for path in sorted(photos.rglob("*")) if path.suffix in {".jpg", ".png"}]
    assert len(paths) > 50
    results = [acquired(result) for result in acquire(paths, yunet, DLIB_GEOMETRY)]
    assert [result.source for result in results if not result.faces] == []
    crops = [
        result for result in results if "bbt" in result.source and "group" not in result.source
    ]
    assert {len(result.faces) for result in crops} == {1}


@pytest.mark.faces
@pytest.mark.network
def test_groups_are_found_whole(yunet: YuNetONet, faces: Path) -> None:
    counts = {
        "bbt/group/bbt1.jpg": 4,
        "bbt/group/bbt2.jpg": 3,
        "bbt/group/bbt3.jpg": 5,
        "bbt/group/bbt4.jpg": 6,
        "bbt/group/bbt5.jpg": 5,
        "multiface/multiface.jpg": 6,
        "portraits/two_people.jpg": 2,
    }
    paths = [faces / "photos" / name for name in counts]
    found = [len(acquired(result).faces) for result in acquire(paths, yunet, DLIB_GEOMETRY)]
    assert found == list(counts.values())
