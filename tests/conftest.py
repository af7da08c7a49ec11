"""Fixtures that tests share, named for what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import FakeDetector, FakeEncoder, embedding, new_template

if TYPE_CHECKING:
    from facecli.gallery import Gallery
    from facecli.types import Detector, Encoder


@pytest.fixture
def detector() -> FakeDetector:
    return FakeDetector()


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def empty_gallery() -> Iterator[Gallery]:
    from facecli.gallery import Gallery

    with Gallery.memory() as gallery:
        yield gallery


@pytest.fixture
def gallery_of_two(empty_gallery: Gallery, encoder: FakeEncoder) -> Gallery:
    """Ada is plane 0, angle 0; Bob is plane 1, angle 0."""
    templates = [new_template("Ada", embedding(0, 0)), new_template("Bob", embedding(1, 0))]
    empty_gallery.add(templates, encoder.card)
    return empty_gallery


@pytest.fixture(scope="session")
def real_detector() -> Detector:
    from facecli.detectors import MTCNNDetector

    return MTCNNDetector()


@pytest.fixture(scope="session")
def real_encoder() -> Encoder:
    """Return the default model."""
    from facecli.encoders import DEFAULT_MODEL, load_encoder

    return load_encoder(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def faces() -> Path:
    """Return the development photos' folder, or skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "faces"
    if not folder.is_dir():
        pytest.skip("the development photos are not beside the checkout")
    return folder
