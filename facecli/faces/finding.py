"""Find the faces of a picture, even if cut by its border, tiny or on their side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageOps

from facecli.faces.images import NEUTRAL_GREY
from facecli.types import Box, Detection, Detector, Point

NEAR_BORDER = 0.3
"""Distance from the picture's border, in box sides, below which a face is searched again.

For portraits cut 0.3 sides from the box, landmarks were as good as uncut: the error was 3 % of the
eye distance. Cut at 0.1 sides it was 9 %, at 0 sides 22 %, and 10 % inside the face 40 %. After a
second search it was 3 to 4 %.
"""

SURROUNDINGS = 1.0
"""Area added on each side of a face at the border for the second search, in box sides."""

SAME_FACE = 0.2
"""Smallest intersection over union of a face and the face of the second search."""

BORDER = 0.25
"""Grey border around a picture in which nothing was found, as a share of its longer side.

For portraits cut to the box and closer, 98 to 100 % were found with it, and 87 to 98 % without.
Grey was better than black, and better than repeating the outermost pixels.
"""

SMALL_SIDE = 320
"""Pictures with a longer side below this are also searched at twice their size."""

SURE = 0.998
"""Confidence from which a picture counts as upright.

In 7 % of 813 portraits on their side or upside down, a wrong face was found, with a confidence of
up to 0.999 but nearly always below 0.998. Of upright portraits, 2.5 % are below it and need three
more searches. With this limit and the next, 960 of 963 turned portraits were correct and 3 wrong.
"""

TURNED_CONFIDENCE = 0.99
"""Smallest confidence of a face in a turned picture; 99.8 % of true faces have more."""

FINDER_VERSION = "mtcnn-1"
"""Must be changed if the same picture would give other faces, landmarks or quality.

What the library knows of photos under another version is not used. So change it together with this
module, the detector or the measurement of quality.
"""

_TRANSPOSE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def find_faces(picture: Image.Image, detector: Detector) -> tuple[list[Detection], tuple[str, ...]]:
    """Return the faces of an upright RGB picture, largest first, and notes on how they were found.

    If no face is found, the picture gets a border, and then twice the size if it is small. If there
    is still no face, or none with a high confidence, the picture is turned by 90, 180 and 270
    degrees. The orientation with the most confident face is used, in a tie the original one: in a
    face on its side, the detector can find a wrong face with less confidence.
    """
    looks = [_Look(), _Look(border=True)]
    if max(picture.size) < SMALL_SIDE:
        looks.append(_Look(enlarge=2, border=True))
    best: list[Detection] = []
    chosen = looks[0]
    for look in looks:
        if best := look.find(picture, detector):
            chosen = look
            break
    if _confidence(best) < SURE:
        for turn in _TRANSPOSE:
            look = _Look(turn=turn, border=True)
            found = look.find(picture, detector)
            if _confidence(found) > max(_confidence(best), TURNED_CONFIDENCE):
                best, chosen = found, look
    notes = () if chosen == looks[0] else (chosen.note,)
    return sorted(best, key=lambda detection: -detection.area), notes


@dataclass(frozen=True, slots=True)
class _Look:
    """One way to show a picture to the detector, and to convert the result back.

    The picture is turned counter-clockwise by `turn` degrees, then enlarged, then given a border.
    """

    turn: int = 0
    enlarge: int = 1
    border: bool = False

    @property
    def note(self) -> str:
        """How the face was found, in words."""
        steps = [
            f"turned {self.turn}° counter-clockwise" if self.turn else "",
            f"enlarged {self.enlarge} times" if self.enlarge > 1 else "",
            "given a border" if self.border else "",
        ]
        return "found in the picture " + " and ".join(step for step in steps if step)

    def find(self, picture: Image.Image, detector: Detector) -> list[Detection]:
        """Return the faces found in this way, in coordinates of the picture."""
        view = picture
        if self.turn:
            view = view.transpose(_TRANSPOSE[self.turn])
        if self.enlarge > 1:
            size = (view.width * self.enlarge, view.height * self.enlarge)
            view = view.resize(size, Image.Resampling.BICUBIC)
        edge = round(max(view.size) * BORDER) if self.border else 0
        if edge:
            view = ImageOps.expand(view, edge, fill=NEUTRAL_GREY)
        (found,) = detector.detect([view])
        if not self.border:
            found = _look_again_at_border(view, found, detector)

        def back(point: Point) -> Point:
            x, y = ((value - edge + 0.5) / self.enlarge - 0.5 for value in point)
            return _turned_back((x, y), self.turn, picture.size)

        return [moved(detection, back) for detection in found]


def _turned_back(point: Point, turn: int, size: tuple[int, int]) -> Point:
    x, y = point
    right, bottom = size[0] - 1, size[1] - 1
    if turn == 90:
        return right - y, x
    if turn == 180:
        return right - x, bottom - y
    if turn == 270:
        return y, bottom - x
    return point


def _look_again_at_border(
    picture: Image.Image, found: list[Detection], detector: Detector
) -> list[Detection]:
    """Search faces near the border again, with grey outside the border.

    MTCNN moves the landmarks of a cut face into the part that is left.
    """
    near = [place for place, face in enumerate(found) if _is_near_border(face.box, picture.size)]
    if not near:
        return found
    regions = [_region(found[place].box) for place in near]
    views = [_cut(picture, region) for region in regions]
    for place, region, seen in zip(near, regions, detector.detect(views), strict=True):
        shifted = [moved(detection, _shift(region[0], region[1])) for detection in seen]
        same = max(shifted, key=lambda again: overlap(again.box, found[place].box), default=None)
        if same and overlap(same.box, found[place].box) >= SAME_FACE:
            found = [*found[:place], same, *found[place + 1 :]]
    return found


def _is_near_border(box: Box, size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    across = min(left, size[0] - 1 - right) < NEAR_BORDER * width
    return across or min(top, size[1] - 1 - bottom) < NEAR_BORDER * height


def _region(box: Box) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    reach = (0.5 + SURROUNDINGS) * max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    return round(x - reach), round(y - reach), round(x + reach), round(y + reach)


def _cut(picture: Image.Image, region: tuple[int, int, int, int]) -> Image.Image:
    left, top, right, bottom = region
    inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
    view = Image.new("RGB", (right - left, bottom - top), NEUTRAL_GREY)
    view.paste(picture.crop(inside), (inside[0] - left, inside[1] - top))
    return view


def _shift(right: float, down: float) -> Callable[[Point], Point]:
    return lambda point: (point[0] + right, point[1] + down)


def moved(detection: Detection, move: Callable[[Point], Point]) -> Detection:
    """Return a detection with every point moved by `move`."""
    (x, y), (u, v) = move(detection.box[:2]), move(detection.box[2:])
    eye, other_eye, nose, mouth, other_mouth = map(move, detection.landmarks)
    return Detection(
        box=(min(x, u), min(y, v), max(x, u), max(y, v)),
        landmarks=(eye, other_eye, nose, mouth, other_mouth),
        confidence=detection.confidence,
    )


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    total = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / total if total > 0 else 0.0


def _confidence(detections: list[Detection]) -> float:
    return max((detection.confidence for detection in detections), default=0.0)
