"""A threshold set on real people holds its rate on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecli.calibration import impostor_distribution
from facecli.calibration.threshold import calibrated_threshold
from facecli.faces.chips import cut_chip
from facecli.metrics import all_pairs
from facecli.types import Encoder, Landmarks

pytestmark = pytest.mark.base

LANDMARKS: Landmarks = (
    (104.0, 112.0),
    (147.0, 112.0),
    (125.0, 138.0),
    (107.0, 158.0),
    (143.0, 158.0),
)
"""Where LFW's crops have them in the median, so that no detector has to look."""

PEOPLE = 620


@pytest.mark.faces
@pytest.mark.network
def test_a_rate_set_on_half_of_the_people_holds_on_the_others(
    faces: Path, real_encoder: Encoder
) -> None:
    """At 1e-3; the intervals of both halves are about the same unknown rate, so they overlap."""
    folders = sorted((faces / "dev" / "lfw" / "images").iterdir())[:PEOPLE]
    geometry = real_encoder.card.geometry
    chips = [
        cut_chip(Image.open(min(folder.iterdir())).convert("RGB"), LANDMARKS, geometry)
        for folder in folders
    ]
    rows = real_encoder.embed(chips)
    held = np.random.default_rng(0).permutation(PEOPLE) < PEOPLE // 2
    labels = np.arange(PEOPLE)
    made = calibrated_threshold(
        rows[held], labels[held], far=1e-3, card=real_encoder.card, source="half of LFW's"
    )
    others = all_pairs(rows[~held], labels[~held]).impostor
    achieved = int(others.matched(made.threshold)) / others.size
    assert made.far_low <= achieved <= made.far_high
    assert made.far_low < 1e-3 < made.far_high
    assert made.far_high < 2.5e-3
    again = impostor_distribution(rows[~held], labels[~held], others, source="")
    assert again is not None
    measured = again.share(made.threshold)
    assert measured.low <= made.far_high
    assert measured.high >= made.far_low
