"""facenet-pytorch's MTCNN behind the Detector protocol."""

from __future__ import annotations

import cmath
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from facecli.faces.chips import DLIB_GEOMETRY, fit_similarity
from facecli.faces.finding import moved, overlap
from facecli.faces.images import NEUTRAL_GREY
from facecli.models import torchvision_standin
from facecli.models.torch_threads import single_thread
from facecli.types import Box, Detection, Landmarks, Point

LONGEST_SIDE = 1600
"""Pictures are searched on a copy whose longer side is at most this many pixels.

Against 1280 this costs a sixth more time and reaches faces a fifth smaller; 2048 takes twice the
time and found nothing more on the photos tried.
"""

MIN_FACE = 24
"""Side in pixels of the copy from which faces are searched for.

On mosaics of scaled portraits 98 % of faces 18 pixels wide, 8 between the eyes, were found, and
84 % at 14 pixels. A setting of 20 finds 99 % and 90 % for half as much time again.
"""

MIN_CONFIDENCE = 0.97
"""Detections below this are dropped: a wrong face would be a wrong enrollment.

Of 2,761 photos of one main face each none lost it; of what was found besides, nearly all above
0.98 and few below 0.95 were faces.
"""

MAX_ROLL = 60.0
"""Degrees by which a face may lean: upright pictures had up to 30, false faces 50 to 90."""

MAX_MISFIT = 25.0
"""Root mean square distance of landmarks from their places in a chip of 150 pixels.

Faces had up to 21, landmarks gone astray hundreds.
"""

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

# Zhang et al. (2016), "Joint face detection and alignment using multitask cascaded convolutional
# networks". The first stage passes on a little less than in the authors' code (0.6), which lost
# no face and a tenth of the time.
_STAGE_THRESHOLDS = [0.7, 0.7, MIN_CONFIDENCE]


class MTCNNDetector:
    """MTCNN on a reduced copy of each picture, with coordinates of the full picture.

    Pictures go through the network one by one. In a batch the rounding depends on the neighbours,
    and a near tie then moved landmarks by six pixels: one picture must always give one answer. A
    batch of equal sizes would have saved a seventh of the time on a CPU.
    """

    version = "mtcnn-2"

    def __init__(self, device: str = "cpu") -> None:
        torchvision_standin.install()
        from facenet_pytorch import MTCNN

        # MTCNN shrinks by averaging over uneven windows, which Apple's backend lacks in most
        # releases (pytorch issue 96056).
        self._device = device
        self._network: Any = MTCNN(
            keep_all=True,
            min_face_size=MIN_FACE,
            thresholds=_STAGE_THRESHOLDS,
            device=torch.device("cpu" if device.startswith("mps") else device),
        )
        if self._network.device.type == "cpu":
            _speed_up_pooling(self._network)

    def __reduce__(self) -> tuple[type[MTCNNDetector], tuple[str]]:
        """Let another process make its own: a network on a graphics card is not to be shared."""
        return MTCNNDetector, (self._device,)

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each picture of any mode and size, largest first."""
        with single_thread():
            return [self._look_twice(picture.convert("RGB")) for picture in pictures]

    def _look_twice(self, picture: Image.Image) -> list[Detection]:
        """Search faces near the border again, with grey outside the border.

        MTCNN moves the landmarks of a cut face into the part that is left.
        """
        found = self._detect_one(picture)
        for place, face in enumerate(found):
            if not _is_near_border(face.box, picture.size):
                continue
            region = _region(face.box)
            seen = self._detect_one(_cut(picture, region))
            shifted = [moved(detection, _shift(region[0], region[1])) for detection in seen]
            same = max(shifted, key=lambda again: overlap(again.box, face.box), default=None)
            if same and overlap(same.box, face.box) >= SAME_FACE:
                found[place] = same
        return sorted(found, key=lambda detection: -detection.area)

    def _detect_one(self, picture: Image.Image) -> list[Detection]:
        copy = _reduced(picture.convert("RGB"))
        scale = np.array([picture.width / copy.width, picture.height / copy.height])
        pixels = _in_planes(_padded(copy))
        boxes, confidences, points = self._network.detect(pixels, landmarks=True)
        if boxes[0] is None:
            return []
        found = [
            _detection(box.reshape(2, 2), landmarks, confidence=float(confidence), scale=scale)
            for box, landmarks, confidence in zip(
                _floats(boxes[0]), _floats(points[0]), confidences[0], strict=True
            )
        ]
        plausible = [detection for detection in found if is_plausible(detection.landmarks)]
        return sorted(plausible, key=lambda detection: -detection.area)


class HalvingMaxPool(torch.nn.Module):
    """Do what MaxPool2d does with a stride of 2 and ceil_mode, to the last bit, by whole rows.

    On a CPU it takes an eighth of PyTorch's time, which was a quarter of all detection.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool (n, channels, height, width) to half, rounded up where a window reaches outside."""
        size = self.size
        rows, columns = ((side - size + 1) // 2 + 1 for side in maps.shape[-2:])
        below = 2 * rows - 2 + size - maps.shape[-2]
        right = 2 * columns - 2 + size - maps.shape[-1]
        maps = torch.nn.functional.pad(maps, (0, right, 0, below), value=-math.inf)
        lines = [maps[..., start : start + 2 * rows - 1 : 2, :] for start in range(size)]
        tall = functools.reduce(torch.maximum, lines)
        parts = [tall[..., start : start + 2 * columns - 1 : 2] for start in range(size)]
        return functools.reduce(torch.maximum, parts)


def _speed_up_pooling(network: torch.nn.Module) -> None:
    for part in list(network.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, torch.nn.MaxPool2d):
                assert isinstance(layer.kernel_size, int)
                assert layer.stride == 2
                assert layer.ceil_mode
                setattr(part, name, HalvingMaxPool(layer.kernel_size))


def is_plausible(landmarks: Landmarks) -> bool:
    """Return whether five landmarks can be those of a face that is not on its side."""
    fit = fit_similarity(DLIB_GEOMETRY.landmarks, landmarks)
    if abs(fit.turn) == 0 or abs(math.degrees(cmath.phase(fit.turn))) > MAX_ROLL:
        return False
    misfits = [
        abs(fit.turn * complex(*place) + fit.shift - complex(*point)) / abs(fit.turn)
        for place, point in zip(DLIB_GEOMETRY.landmarks, landmarks, strict=True)
    ]
    return math.hypot(*misfits) / math.sqrt(len(misfits)) <= MAX_MISFIT


def _reduced(picture: Image.Image) -> Image.Image:
    ratio = LONGEST_SIDE / max(picture.size)
    if ratio >= 1:
        return picture
    size = (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _padded(picture: Image.Image) -> Image.Image:
    # MTCNN fails on sides shorter than the smallest face.
    right, bottom = (max(0, MIN_FACE - side) for side in picture.size)
    return ImageOps.expand(picture, (0, 0, right, bottom), fill=NEUTRAL_GREY)


def _in_planes(picture: Image.Image) -> torch.Tensor:
    """Return float32 (1, h, w, 3) whose three colours lie one after the other in memory.

    Half of MTCNN's time goes into shrinking the picture, which takes a quarter less like this.
    """
    colours = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    planes = colours.to(torch.float32, memory_format=torch.contiguous_format)
    return planes.permute(1, 2, 0)[None]


def _floats(values: Any) -> Any:
    # facenet-pytorch returns arrays of objects.
    return np.array(values.tolist(), dtype=np.float64)


def _detection(box: Any, points: Any, *, confidence: float, scale: Any) -> Detection:
    """Map corners (2, 2) and landmarks (5, 2) from the copy to the full picture."""
    # A coordinate is a pixel's centre: pixel 0 of the copy covers 0 to scale - 1.
    (left, top), (right, bottom) = ((box + 0.5) * scale - 0.5).tolist()
    eye, other_eye, nose, mouth, other_mouth = (
        (float(x), float(y)) for x, y in (points + 0.5) * scale - 0.5
    )
    return Detection(
        box=(left, top, right, bottom),
        landmarks=(eye, other_eye, nose, mouth, other_mouth),
        confidence=confidence,
    )


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
