"""O-Net confirms proposals and gives the landmarks."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from facecli.faces.blocks import reduced
from facecli.faces.upright import NEUTRAL_GREY
from facecli.models.detector_graphs import ONET_SIDE
from facecli.models.detector_search import Proposals
from facecli.models.runtime import Session
from facecli.types import Box, Detection, PixelArray

MIN_EVIDENCE = 3.9
"""Smallest evidence for a face: the mean of O-Net's two logits and half the logit of YuNet's score.

Of 302 photos of groceries none had more. By one look of O-Net and no score, faces of 14 pixels with
as few false ones: 50 of 55; by this, all 55. All but one of 2,761 portraits had more.
"""

SCORE_WEIGHT = 0.5
"""Weight of the logit of YuNet's score in the evidence; 0.25 to 1 are as good."""

SECOND_LOOK = 1.0
"""Smallest first logit for which a proposal is looked at again."""

SURE = 5.5
"""Evidence from which a face that seems upright is not also looked at turned by 90, 180 and 270
degrees.

YuNet takes nearly every face for upright. Of 300 faces turned by 90 to 180 degrees 10 had this
evidence as they stood, of 2,761 upright ones 98 in 100.
"""

TURNED_EVIDENCE = 4.5
"""Smallest evidence for a face turned so; in photos of groceries it was up to 3.9."""

TURNED_SCORE = 0.4
"""Smallest score of YuNet's for a proposal to be turned. With 0.2 no face more was found."""

MAX_TILT = math.radians(15)
"""Largest angle between the first crop and the eyes in it at which its landmarks are used, and half
of it in the second.

O-Net knows upright faces: at 45 degrees its landmarks are a third of the eye distance off.
"""

SAME_FACE = 0.6
"""Share of the smaller of two boxes in the other from which they are one face."""

BATCH = 32
"""Crops to a forward pass, which bounds the memory."""

Points = npt.NDArray[np.complex128]


class Square(NamedTuple):
    """A square part of a picture: centre, side in pixels, roll of its upper side in radians."""

    centre: complex
    side: float
    roll: float

    def __call__(self, share: complex) -> complex:
        """Map shares of the side, from the upper left corner, to the picture."""
        return self.centre + cmath.rect(self.side, self.roll) * (share - complex(0.5, 0.5))


class Look(NamedTuple):
    """What O-Net says of a square: the logit of a face, its landmarks, where it lies.

    `face` is the square about the face, upright by its eyes; `width` and `height` are its box's.
    `tilt` is the angle between the eyes and the square in radians, 0 or more.
    """

    logit: float
    landmarks: Points
    face: Square
    width: float
    height: float
    tilt: float


@dataclass(frozen=True, slots=True)
class _Finding:
    """Two looks at a proposal, and the evidence: a logit."""

    evidence: float
    first: Look
    second: Look

    @property
    def tilted(self) -> bool:
        """Whether the face was not upright in the looks."""
        return max(self.first.tilt, 2 * self.second.tilt) > MAX_TILT

    def detection(self) -> Detection:
        """Return the face: the mean of the landmarks, and the box of the second look."""
        points = (self.first.landmarks + self.second.landmarks) / 2
        a, b, c, d, e = ((float(point.real), float(point.imag)) for point in points)
        return Detection(self.box, (a, b, c, d, e), 1 / (1 + math.exp(-self.evidence)))

    @property
    def box(self) -> Box:
        """The upright box about the ellipse in the face's box."""
        (centre, _, roll), width, height = self.second.face, self.second.width, self.second.height
        across = math.hypot(width * math.cos(roll), height * math.sin(roll)) / 2
        down = math.hypot(width * math.sin(roll), height * math.cos(roll)) / 2
        x, y = centre.real, centre.imag
        return x - across, y - down, x + across, y + down


def confirm(picture: Image.Image, proposals: Proposals, onet: Session) -> list[Detection]:
    """Return the faces among the proposals for an RGB picture, unordered."""
    squares = [
        Square(complex(left + right, top + bottom) / 2, max(right - left, bottom - top), roll)
        for (left, top, right, bottom), roll in zip(
            proposals.boxes.tolist(), proposals.rolls.tolist(), strict=True
        )
    ]
    scores = np.clip(proposals.scores, 0.01, 0.99)
    known = (SCORE_WEIGHT * np.log(scores / (1 - scores))).tolist()
    findings = _findings(picture, look_at(picture, squares, onet), known, onet)
    sure = [one.box for one in findings if one and one.evidence >= SURE and not one.tilted]
    doubtful = [
        place
        for place, square in enumerate(squares)
        if proposals.scores[place] >= TURNED_SCORE
        and not any(_lies_in(square, box) for box in sure)
    ]
    turned = _turned(picture, [squares[place] for place in doubtful], onet)
    others = _findings(picture, turned, [known[place] for place in doubtful], onet)
    for place, other in zip(doubtful, others, strict=True):
        one = findings[place]
        if other and other.evidence >= max(TURNED_EVIDENCE, one.evidence if one else 0):
            findings[place] = other
    faces = _distinct([one for one in findings if one and one.evidence >= MIN_EVIDENCE])
    return [one.detection() for one in _straightened(picture, faces, onet)]


def _lies_in(square: Square, box: Box) -> bool:
    return box[0] < square.centre.real < box[2] and box[1] < square.centre.imag < box[3]


def _findings(
    picture: Image.Image, looks: Sequence[Look], known: Sequence[float], onet: Session
) -> list[_Finding | None]:
    """Look again, upright about the face, where a first look saw one; None elsewhere."""
    worth = [place for place, look in enumerate(looks) if look.logit >= SECOND_LOOK]
    again = look_at(picture, [looks[place].face for place in worth], onet)
    found: list[_Finding | None] = [None] * len(looks)
    for place, second in zip(worth, again, strict=True):
        evidence = (looks[place].logit + second.logit) / 2 + known[place]
        found[place] = _Finding(evidence, looks[place], second)
    return found


def _turned(picture: Image.Image, squares: Sequence[Square], onet: Session) -> list[Look]:
    """Return the best look at each square turned by 90, 180 and 270 degrees."""
    every = [
        Square(square.centre, square.side, square.roll + quarter * math.pi / 2)
        for square in squares
        for quarter in (1, 2, 3)
    ]
    looks = look_at(picture, every, onet)
    return [
        max(looks[start : start + 3], key=lambda look: look.logit)
        for start in range(0, len(looks), 3)
    ]


def _straightened(picture: Image.Image, faces: list[_Finding], onet: Session) -> list[_Finding]:
    """Look a third time, in place of the first, where that was too far from upright."""
    tilted = [place for place, one in enumerate(faces) if one.tilted]
    again = look_at(picture, [faces[place].second.face for place in tilted], onet)
    for place, third in zip(tilted, again, strict=True):
        faces[place] = _Finding(faces[place].evidence, faces[place].second, third)
    return faces


def _distinct(findings: list[_Finding]) -> list[_Finding]:
    """Leave out faces that lie for the most part in one with more evidence, or around one."""
    kept: list[_Finding] = []
    for one in sorted(findings, key=lambda one: -one.evidence):
        if all(_shared(one.box, other.box) < SAME_FACE for other in kept):
            kept.append(one)
    return kept


def _shared(a: Box, b: Box) -> float:
    """Return the intersection of two boxes as a share of the smaller."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0.0, width) * max(0.0, height) / smaller


def look_at(picture: Image.Image, squares: Sequence[Square], onet: Session) -> list[Look]:
    """Return what O-Net says of squares of a picture."""
    looks: list[Look] = []
    for start in range(0, len(squares), BATCH):
        part = squares[start : start + BATCH]
        crops = np.stack([cut(picture, square) for square in part]).transpose(0, 3, 1, 2)
        values = onet.run({"pixels": crops})["faces"][:, :, 0, 0].astype(np.float64)
        looks += map(_look, part, values)
    return looks


def _look(square: Square, values: npt.NDArray[np.float64]) -> Look:
    no, yes, *sides = values[:6].tolist()
    landmarks = np.array([square(complex(x, y)) for x, y in values[6:].reshape(2, 5).T])
    # Further than half a side away, it would be another face.
    left, top, right, bottom = (min(max(side, -0.5), 0.5) for side in sides)
    width, height = (max(0.1, 1 + far - near) for near, far in ((left, right), (top, bottom)))
    middle = square(complex(1 + left + right, 1 + top + bottom) / 2)
    roll = cmath.phase(complex(landmarks[1] - landmarks[0]))
    face = Square(middle, max(width, height) * square.side, roll)
    tilt = abs(cmath.phase(cmath.rect(1, roll - square.roll)))
    return Look(yes - no, landmarks, face, width * square.side, height * square.side, tilt)


def cut(picture: Image.Image, square: Square) -> PixelArray:
    """Cut a square out of an RGB picture: uint8 (48, 48, 3), grey outside the picture.

    As for chips, the picture is shrunk by powers of two until a step is below two pixels.
    """
    step = cmath.rect(square.side, square.roll) / ONET_SIDE
    shrink = 2 ** max(0, int(math.log2(max(1.0, abs(step)))))
    reach = (abs(step.real) + abs(step.imag)) * ONET_SIDE / 2 + 2 * shrink
    left, top = (math.floor(at - reach) for at in (square.centre.real, square.centre.imag))
    right, bottom = (math.ceil(at + reach) for at in (square.centre.real, square.centre.imag))
    region = reduced(picture, (left, top, right, bottom), shrink, fill=NEUTRAL_GREY)
    pace = step / shrink
    # Pillow measures from the outer edge of the first pixel, we from its centre.
    middle = (square.centre - complex(left, top) + complex(0.5, 0.5)) / shrink
    start = middle - pace * complex(ONET_SIDE, ONET_SIDE) / 2
    matrix = (pace.real, -pace.imag, start.real, pace.imag, pace.real, start.imag)
    size = (ONET_SIDE, ONET_SIDE)
    crop = region.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(crop, dtype=np.uint8)
