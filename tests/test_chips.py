"""Chips are cut by the best similarity there is, and show the same face however it was placed."""

from __future__ import annotations

import cmath
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from facecli.errors import FaceError
from facecli.faces.chips import DLIB_GEOMETRY, cut_chip, fit_similarity, geometry_at
from facecli.faces.finding import find_faces
from facecli.types import ChipGeometry, Landmarks, PixelArray

coordinates = st.floats(-500, 500)
points = st.tuples(coordinates, coordinates)
five_points = st.tuples(points, points, points, points, points)


def spread(landmarks: Landmarks) -> float:
    array = np.array(landmarks)
    return float(np.abs(array - array.mean(axis=0)).max())


def mapped(landmarks: Landmarks, turn: complex, shift: complex) -> Landmarks:
    moved = [turn * complex(*point) + shift for point in landmarks]
    first, second, third, fourth, fifth = [(point.real, point.imag) for point in moved]
    return first, second, third, fourth, fifth


def residual(source: Landmarks, target: Landmarks, turn: complex, shift: complex) -> float:
    return sum(
        abs(turn * complex(*start) + shift - complex(*goal)) ** 2
        for start, goal in zip(source, target, strict=True)
    )


# The fit


@given(source=five_points.filter(lambda landmarks: spread(landmarks) > 1), target=five_points)
def test_fit_is_the_plain_least_squares_solution(source: Landmarks, target: Landmarks) -> None:
    """The oracle solves for a, b, s, t in x' = ax - by + s, y' = bx + ay + t by lstsq."""
    rows, goals = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        goals += [u, v]
    a, b, s, t = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    fit = fit_similarity(source, target)
    scale = 1 + abs(complex(a, b)) + abs(complex(s, t))
    assert abs(fit.turn - complex(a, b)) < 1e-6 * scale
    assert abs(fit.shift - complex(s, t)) < 1e-5 * scale


@given(
    source=five_points.filter(lambda landmarks: spread(landmarks) > 1),
    scale=st.floats(0.1, 10),
    angle=st.floats(-math.pi, math.pi),
    shift=points,
)
def test_fit_recovers_a_similarity(
    source: Landmarks, scale: float, angle: float, shift: tuple[float, float]
) -> None:
    turn = cmath.rect(scale, angle)
    fit = fit_similarity(source, mapped(source, turn, complex(*shift)))
    assert abs(fit.turn - turn) < 1e-6 * scale
    assert abs(fit.shift - complex(*shift)) < 1e-5 * (1 + scale) * 100


@given(target=five_points, nudge=st.tuples(*[st.floats(-0.1, 0.1)] * 4))
def test_no_neighbouring_similarity_fits_better(
    target: Landmarks, nudge: tuple[float, float, float, float]
) -> None:
    source = DLIB_GEOMETRY.landmarks
    fit = fit_similarity(source, target)
    best = residual(source, target, fit.turn, fit.shift)
    turn, shift = fit.turn + complex(*nudge[:2]), fit.shift + complex(*nudge[2:])
    assert residual(source, target, turn, shift) >= best - 1e-6 * (1 + best)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    """A similarity has no mirror image: the fit must stay a rotation and a scale."""
    mirrored = tuple((-x, y) for x, y in DLIB_GEOMETRY.landmarks)
    first, second, third, fourth, fifth = mirrored
    fit = fit_similarity(DLIB_GEOMETRY.landmarks, (first, second, third, fourth, fifth))
    assert abs(fit.turn) < 0.3


# The geometry


@pytest.mark.parametrize("size", [64, 112, 150, 160])
def test_geometry_scales_with_the_chip(size: int) -> None:
    geometry = geometry_at(size)
    assert geometry.size == size
    ratio = np.array(geometry.landmarks) / np.array(DLIB_GEOMETRY.landmarks)
    assert ratio == pytest.approx(size / 150)


def test_default_geometry_is_a_face_looking_ahead() -> None:
    """Nearly symmetric about the middle, eyes above nose above mouth."""
    left, right, nose, left_mouth, right_mouth = DLIB_GEOMETRY.landmarks
    for one, other in ((left, right), (left_mouth, right_mouth)):
        assert (one[0] + other[0]) / 2 == pytest.approx(75, abs=0.5)
        assert one[1] == pytest.approx(other[1], abs=0.5)
    assert left[1] < nose[1] < left_mouth[1] < 150


# The pixels


def face_like(size: int = 400, blur: float = 3.0) -> Image.Image:
    """Return a smooth random picture: sampling it anywhere is well defined."""
    noise = np.random.default_rng(7).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
    return large.filter(ImageFilter.GaussianBlur(blur))


def landmarks_at(turn: complex, centre: complex) -> Landmarks:
    """Place the default landmarks so that the chip's centre falls on `centre`."""
    return mapped(DLIB_GEOMETRY.landmarks, turn, centre - turn * complex(75, 75))


def sampled(picture: Image.Image, landmarks: Landmarks, geometry: ChipGeometry) -> PixelArray:
    """Cut a chip pixel by pixel, as dlib lays it over the picture, without any averaging."""
    size = geometry.size
    fit = fit_similarity(geometry.landmarks, landmarks)
    centre = fit.turn * complex(size / 2, size / 2) + fit.shift
    # Chip pixels 0 and size - 1 lie on the first and last pixel centre of a square of this side.
    side = abs(fit.turn) * size
    direction = fit.turn / abs(fit.turn)
    pixels = np.asarray(picture, dtype=float)
    chip = np.zeros((size, size, 3))
    for row in range(size):
        for column in range(size):
            offset = complex(column - (size - 1) / 2, row - (size - 1) / 2) * (side - 1)
            place = centre + direction * offset / (size - 1)
            x, y = math.floor(place.real), math.floor(place.imag)
            right, down = place.real - x, place.imag - y
            chip[row, column] = (
                pixels[y, x] * (1 - right) * (1 - down)
                + pixels[y, x + 1] * right * (1 - down)
                + pixels[y + 1, x] * (1 - right) * down
                + pixels[y + 1, x + 1] * right * down
            )
    return np.round(chip).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, math.pi])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("size", [50, 81])
def test_chip_is_the_bilinear_sample_of_every_pixel(angle: float, scale: float, size: int) -> None:
    picture, geometry = face_like(), geometry_at(size)
    landmarks = landmarks_at(cmath.rect(scale * size / 150, angle), complex(201.3, 196.8))
    expected = sampled(picture, landmarks, geometry).astype(int)
    chip = cut_chip(picture, landmarks, geometry)
    assert chip.shape == (size, size, 3)
    assert chip.dtype == np.uint8
    assert np.abs(chip.astype(int) - expected).max() <= 1


def test_chip_of_a_chip_is_itself() -> None:
    """Landmarks already in place leave every pixel but for dlib's half-pixel rule of centres."""
    picture = face_like(150)
    chip = cut_chip(picture, DLIB_GEOMETRY.landmarks, DLIB_GEOMETRY)
    shifted = np.asarray(picture.convert("RGB"), dtype=float)
    expected = (shifted[:-1, :-1] + shifted[1:, :-1] + shifted[:-1, 1:] + shifted[1:, 1:]) / 4
    assert np.abs(chip[:-1, :-1] - expected).max() <= 1.5


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turning_the_picture_leaves_the_chip(quarter: int) -> None:
    picture = face_like(401)
    landmarks = landmarks_at(cmath.rect(1.3, 0.2), complex(190, 220))
    turned = picture.rotate(90 * quarter, expand=True)
    middle = complex(200, 200)
    around = [(-1j) ** quarter * (complex(*point) - middle) + middle for point in landmarks]
    first, second, third, fourth, fifth = [(point.real, point.imag) for point in around]
    chip = cut_chip(turned, (first, second, third, fourth, fifth), DLIB_GEOMETRY)
    expected = cut_chip(picture, landmarks, DLIB_GEOMETRY)
    assert np.abs(chip.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("shift", [(17, 5), (-40, 33)])
def test_moving_the_picture_leaves_the_chip(shift: tuple[int, int]) -> None:
    picture = face_like()
    landmarks = landmarks_at(cmath.rect(0.9, -0.3), complex(200, 200))
    moved = Image.new("RGB", (500, 500))
    moved.paste(picture, shift)
    chip = cut_chip(moved, mapped(landmarks, 1, complex(*shift)), DLIB_GEOMETRY)
    assert np.array_equal(chip, cut_chip(picture, landmarks, DLIB_GEOMETRY))


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_enlarging_the_picture_leaves_the_chip(factor: int) -> None:
    """The same face in a larger picture gives nearly the same chip, because it is averaged."""
    picture = face_like(300)
    landmarks = landmarks_at(complex(1.1), complex(150, 150))
    large = picture.resize((300 * factor, 300 * factor), Image.Resampling.BICUBIC)
    placed = mapped(landmarks, complex(factor), complex((factor - 1) / 2, (factor - 1) / 2))
    chip = cut_chip(large, placed, DLIB_GEOMETRY).astype(int)
    # Half a pixel of the small picture is what dlib's rule of outermost pixels may differ by.
    assert np.abs(chip - cut_chip(picture, landmarks, DLIB_GEOMETRY)).mean() < 2


def test_fine_detail_of_a_large_face_is_averaged_not_skipped() -> None:
    """One-pixel stripes must come out grey: skipping pixels would make them black and white."""
    stripes = np.zeros((1200, 1200, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    chip = cut_chip(Image.fromarray(stripes), landmarks_at(6 + 0j, 600 + 600j), DLIB_GEOMETRY)
    assert np.abs(chip.astype(int) - 128).max() <= 2


def test_beyond_the_border_is_black() -> None:
    white = Image.new("RGB", (200, 200), "white")
    chip = cut_chip(white, landmarks_at(1 + 0j, 0j), DLIB_GEOMETRY)
    assert (chip[:73, :73] == 0).all()
    assert (chip[77:, 77:] == 255).all()


def test_a_face_far_outside_costs_no_memory_for_the_way_there() -> None:
    white = Image.new("RGB", (20, 20), "white")
    chip = cut_chip(white, landmarks_at(1 + 0j, complex(1e7, -1e7)), DLIB_GEOMETRY)
    assert not chip.any()


@pytest.mark.parametrize("value", [5.0, math.nan])
def test_landmarks_in_one_point_are_refused(value: float) -> None:
    point = (value, value)
    with pytest.raises(FaceError, match="do not span a face"):
        cut_chip(face_like(), (point, point, point, point, point), DLIB_GEOMETRY)


@pytest.mark.faces
@pytest.mark.network
@pytest.mark.parametrize("source", ["celeba", "london", "vggface2"])
def test_chips_made_elsewhere_lie_in_this_geometry(faces: Path, source: str) -> None:
    """The training chips were aligned to this geometry: their landmarks average to it.

    Face shapes differ between sources, so the whole is compared, not each point.
    """
    from facecli.models.mtcnn import MTCNNDetector

    detector = MTCNNDetector()
    paths = sorted((faces / "train" / source).rglob("*.jpg"))
    paths = paths[:: len(paths) // 30]
    pictures = [Image.open(path).convert("RGB").resize((150, 150)) for path in paths]
    found = [find_faces(picture, detector)[0] for picture in pictures]
    largest = [detections[0].landmarks for detections in found if detections]
    assert len(largest) > 0.9 * len(paths)
    first, second, third, fourth, fifth = np.median(largest, axis=0).tolist()
    fit = fit_similarity(DLIB_GEOMETRY.landmarks, (first, second, third, fourth, fifth))
    assert abs(fit.turn - 1) < 0.04
    assert abs(complex(*fit((75, 75))) - complex(75, 75)) < 1
