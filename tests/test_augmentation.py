"""What happens to chips in training is seeded, in range, and what it says it is."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic import person_chips
from torch import Tensor

from facecli.training import augmentation
from facecli.training.augmentation import Augmentation, augment

NOTHING = Augmentation(
    mirror=0, scale=0, rotation=0, shift=0, light=0, saturation=0, grey=0, low_resolution=0,
    jpeg=0, blur=0, occlusion=0, glasses=0, tint=0,
)  # fmt: skip


def chips(count: int = 8, size: int = 48) -> Tensor:
    return torch.from_numpy(person_chips(count, 1, size=size)[0]).permute(0, 3, 1, 2).float()


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_changes_nothing() -> None:
    assert torch.allclose(augment(chips(), NOTHING, seeded()), chips(), atol=1e-2)


def test_everything_asked_keeps_shape_and_range_and_changes_every_chip() -> None:
    everything = Augmentation(low_resolution=1, jpeg=1, blur=1, occlusion=1, glasses=1)
    before = chips()
    after = augment(before, everything, seeded())
    assert after.shape == before.shape
    assert after.min() >= 0
    assert after.max() <= 255
    assert ((after - before).abs().flatten(1).mean(1) > 5).all()


def test_one_seed_gives_one_result_and_leaves_its_input_alone() -> None:
    before = chips()
    first, second, other = (augment(before, Augmentation(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, chips())


def test_a_share_of_one_mirrors_all() -> None:
    amounts = replace(NOTHING, mirror=1)
    assert torch.allclose(augment(chips(), amounts, seeded()), chips().flip(3), atol=1e-2)


def test_grey_takes_all_colour() -> None:
    amounts = replace(NOTHING, grey=1)
    after = augment(chips(), amounts, seeded())
    assert (after.amax(1) - after.amin(1)).max() < 1e-2


@pytest.mark.parametrize("quality", [20, 60])
def test_compression_is_close_to_a_real_encoder(
    quality: int,
) -> None:
    """The mean difference to Pillow's JPEG is a small part of what JPEG changes.

    The side is no multiple of 8, which padding must get right.
    """
    before = chips(4, 44)
    ours = augmentation.compressed(quality, quality)(before, seeded()).round()
    for one, original in zip(ours, before, strict=True):
        pixels = original.permute(1, 2, 0).to(torch.uint8).numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
        real = np.asarray(Image.open(stream)).astype(float)
        mine = one.permute(1, 2, 0).numpy()
        assert np.abs(mine - real).mean() < 0.1 * np.abs(pixels - real).mean()


def test_glasses_darken_the_eyes_and_not_the_mouth() -> None:
    white = torch.full((4, 3, 150, 150), 255.0)
    after = augmentation._put_on_glasses(white, seeded())
    assert after[:, :, 46, [48, 102]].max() < 120
    assert after[:, :, 106, :].min() == 255
