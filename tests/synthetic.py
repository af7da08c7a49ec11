"""People made of coloured noise: chips to learn from that show nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from facecli.types import IntArray, PixelArray


def person_chips(
    people: int, photos: int, *, size: int, seed: int = 0
) -> tuple[PixelArray, IntArray]:
    """Return chips uint8 (people × photos, size, size, 3) and whose they are.

    A person is a smooth random pattern; a photo of them is lit, shifted and noisy in its own way.
    """
    random = np.random.default_rng(seed)
    chips = []
    for _ in range(people):
        pattern = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        big = Image.fromarray(pattern).resize((size + 8, size + 8), Image.Resampling.BICUBIC)
        for _ in range(photos):
            x, y = random.integers(0, 9, 2)
            pixels = np.asarray(big.crop((x, y, x + size, y + size)), np.float64)
            pixels = pixels * random.uniform(0.5, 1.2) + random.normal(0, 25, pixels.shape)
            chips.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.stack(chips), np.repeat(np.arange(people), photos)


def write_people(folder: Path, people: int, photos: int, *, size: int = 150, seed: int = 0) -> Path:
    """Write such people as a folder of folders of PNGs."""
    chips, labels = person_chips(people, photos, size=size, seed=seed)
    for number, (chip, label) in enumerate(zip(chips, labels, strict=True)):
        path = folder / f"person{seed}-{label:02}" / f"{number % photos}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chip).save(path)
    return folder
