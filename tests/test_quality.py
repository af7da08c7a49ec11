"""Quality measures what its name says, and its limits let ordinary photos through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from facecli.faces import quality
from facecli.faces.chips import DLIB_GEOMETRY, cut_chip, geometry_at
from facecli.faces.images import open_picture
from facecli.faces.quality import measure_quality, usable_for_enrollment
from facecli.models.sface import SFACE_GEOMETRY
from facecli.types import Landmarks, PixelArray, Quality

pytestmark = pytest.mark.base

FRONTAL: Landmarks = ((40.0, 50.0), (100.0, 50.0), (70.0, 80.0), (45.0, 110.0), (95.0, 110.0))
GEOMETRIES = {"dlib": DLIB_GEOMETRY, "sface": SFACE_GEOMETRY}
GOOD = Quality(eye_distance=60, sharpness=30, brightness=120, turn=0.05)


def measured_of(landmarks: Landmarks, chip: PixelArray) -> Quality:
    """Measure a chip of dlib's geometry, at its own size."""
    return measure_quality(landmarks, chip, geometry=geometry_at(len(chip)))


def textured(low: int = 40, high: int = 200) -> PixelArray:
    """Return a chip of smooth blobs between two grey levels."""
    noise = np.random.default_rng(3).integers(low, high + 1, (25, 25), dtype=np.uint8)
    large = Image.fromarray(noise).resize((150, 150), Image.Resampling.BICUBIC)
    return np.asarray(large.convert("RGB"))


def blurred(chip: PixelArray, radius: float) -> PixelArray:
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(radius)))


def turned(landmarks: Landmarks, degrees: float, scale: float = 1.0) -> Landmarks:
    factor = scale * np.exp(1j * np.deg2rad(degrees))
    a, b, c, d, e = [factor * complex(*point) + 7 for point in landmarks]
    return (
        (a.real, a.imag),
        (b.real, b.imag),
        (c.real, c.imag),
        (d.real, d.imag),
        (e.real, e.imag),
    )


def test_eye_distance_is_in_pixels_of_the_picture() -> None:
    assert measured_of(FRONTAL, textured()).eye_distance == 60
    assert measured_of(turned(FRONTAL, 30, 2), textured()).eye_distance == pytest.approx(120)


@given(degrees=st.floats(-180, 180), aside=st.floats(0, 60))
def test_turn_is_the_nose_along_the_eyes_however_the_head_is_tilted(
    degrees: float, aside: float
) -> None:
    nose = (70 + aside, 80.0)
    landmarks = turned((*FRONTAL[:2], nose, *FRONTAL[3:]), degrees)
    assert measured_of(landmarks, textured()).turn == pytest.approx(aside / 60, abs=1e-6)


def test_turn_is_the_same_to_either_side() -> None:
    left = measured_of((*FRONTAL[:2], (50.0, 80.0), *FRONTAL[3:]), textured())
    right = measured_of((*FRONTAL[:2], (90.0, 80.0), *FRONTAL[3:]), textured())
    assert left.turn == right.turn == pytest.approx(1 / 3)


def test_eyes_in_one_point_measure_as_nothing() -> None:
    landmarks = ((40.0, 50.0), (40.0, 50.0), *FRONTAL[2:])
    measured = measured_of(landmarks, textured())
    assert (measured.eye_distance, measured.turn) == (0, 0)
    assert usable_for_enrollment(measured)


def test_sharpness_falls_with_blur() -> None:
    chip = textured()
    values = [measured_of(FRONTAL, blurred(chip, radius)).sharpness for radius in range(5)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 3 * values[3]


def test_sharpness_equals_its_definition_pixel_by_pixel() -> None:
    """The middle is halved with a Hamming window of four pixels."""
    chip = textured()
    grey = chip @ np.array([0.299, 0.587, 0.114])
    halving = np.zeros((45, 150))
    for place in range(45):
        for pixel in range(29 + 2 * place, 33 + 2 * place):
            x = (pixel + 0.5 - (31 + 2 * place)) / 2
            halving[place, pixel] = np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x))
    halving /= halving.sum(axis=1, keepdims=True)
    half = halving @ grey @ halving.T
    laplacian = [
        half[y - 1, x] + half[y + 1, x] + half[y, x - 1] + half[y, x + 1] - 4 * half[y, x]
        for y in range(1, 44)
        for x in range(1, 44)
    ]
    expected = 100 * np.var(laplacian) / np.var(half)
    assert measured_of(FRONTAL, chip).sharpness == pytest.approx(expected, rel=1e-3)


def test_a_darker_or_paler_face_is_as_sharp() -> None:
    """Neither skin nor exposure may count as blur."""
    chip = textured()
    full = measured_of(FRONTAL, chip).sharpness
    assert measured_of(FRONTAL, chip // 3).sharpness == pytest.approx(full, rel=0.1)
    assert measured_of(FRONTAL, chip // 3 + 150).sharpness == pytest.approx(full, rel=0.1)


def test_what_lies_around_the_face_does_not_count() -> None:
    """The black beyond a picture's border must neither darken nor sharpen a face."""
    chip = blurred(textured(), 2)
    cut = chip.copy()
    cut[:25] = cut[:, :25] = 0
    assert measured_of(FRONTAL, cut) == measured_of(FRONTAL, chip)


def test_a_flat_chip_has_no_sharpness() -> None:
    measured = measured_of(FRONTAL, np.full((150, 150, 3), 90, dtype=np.uint8))
    assert measured.sharpness == 0
    assert measured.brightness == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize("size", [64, 112, 150, 161])
def test_any_chip_size_can_be_measured(size: int) -> None:
    chip = np.asarray(Image.fromarray(textured()).resize((size, size)))
    assert measured_of(FRONTAL, chip).sharpness > 0


@pytest.mark.parametrize("radius", [4, 8])
def test_a_face_measures_the_same_in_chips_of_any_geometry(radius: int) -> None:
    """One limit serves all models. The face is 160 pixels between the eyes, blurred or not."""
    noise = np.random.default_rng(3).integers(40, 201, (60, 60), dtype=np.uint8)
    large = Image.fromarray(noise).resize((640, 640), Image.Resampling.BICUBIC).convert("RGB")
    picture = large.filter(ImageFilter.GaussianBlur(radius))
    landmarks = turned(FRONTAL, 10, 160 / 60)
    one, other = (
        measure_quality(landmarks, cut_chip(picture, landmarks, geometry), geometry=geometry)
        for geometry in GEOMETRIES.values()
    )
    assert other.sharpness == pytest.approx(one.sharpness, rel=0.15)
    assert other.brightness == pytest.approx(one.brightness, abs=1)


# The limits


def test_a_good_face_has_no_reasons() -> None:
    assert usable_for_enrollment(GOOD) == []


@pytest.mark.parametrize(
    ("field", "limit", "worse", "reason"),
    [
        (
            "eye_distance",
            quality.MIN_EYE_DISTANCE,
            -1,
            "too small: 15 px between the eyes, 16 needed",
        ),
        ("sharpness", quality.MIN_SHARPNESS, -1, "blurred: sharpness 2.0, 3.0 needed"),
        ("brightness", quality.MIN_BRIGHTNESS, -1, "dark: mean grey 29, 30 needed"),
        ("turn", quality.MAX_TURN, 1, "turned away: nose 1.6 eye distances off, 0.6 at most"),
    ],
)
def test_each_limit_is_kept_and_named(field: str, limit: float, worse: float, reason: str) -> None:
    """At the limit a face is usable, beyond it there is exactly this reason."""
    assert usable_for_enrollment(dataclasses.replace(GOOD, **{field: limit})) == []
    assert usable_for_enrollment(dataclasses.replace(GOOD, **{field: limit + worse})) == [reason]


def test_all_reasons_are_given() -> None:
    worst = Quality(eye_distance=1, sharpness=0, brightness=0, turn=2)
    assert len(usable_for_enrollment(worst)) == 4


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("eye_distance", 15.99, "16 px between"),
        ("sharpness", 2.999, "sharpness 3.0"),
        ("brightness", 29.99, "grey 30"),
        ("turn", 0.6001, "nose 0.6 "),
    ],
)
def test_a_rounded_measure_never_reads_as_enough(field: str, value: float, wrong: str) -> None:
    """A face refused for its size must not be told that it has the size needed."""
    (reason,) = usable_for_enrollment(dataclasses.replace(GOOD, **{field: value}))
    assert wrong not in reason


@pytest.mark.faces
def test_blurring_a_real_portrait_is_noticed(faces: Path) -> None:
    """A portrait chip is usable, and not so once blurred, darkened or shrunk far enough."""
    chip = open_picture(sorted((faces / "train" / "london").rglob("*_08.jpg"))[0]).pixels
    pixels = cut_chip(chip.resize((150, 150)), DLIB_GEOMETRY.landmarks, DLIB_GEOMETRY)
    landmarks = DLIB_GEOMETRY.landmarks
    assert usable_for_enrollment(measured_of(landmarks, pixels)) == []
    for worse, word in ((blurred(pixels, 6), "blurred"), (pixels // 8, "dark")):
        reasons = usable_for_enrollment(measured_of(landmarks, worse))
        assert [reason.partition(":")[0] for reason in reasons] == [word]
