"""Probes: validation photos blurred, shrunk, darkened or covered, compared with clean photos.

The strengths are fixed and the covers differ from those of the takes that a network learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecli.metrics import Interval, all_pairs, interval, threshold_at_fmr
from facecli.metrics.resampling import times_drawn
from facecli.training.augmentation import blurred, compressed, shrunk
from facecli.training.takes import FRAME, greyed
from facecli.types import FloatArray, IntArray, PixelArray
from facecli.vectors.distances import squared_l2

FMR = 1e-4
"""The threshold is that of clean photos at this rate, as at a gate that is set on good photos."""

REPLICATES = 1000
BLOCK = 256


def _cover(colour: tuple[int, int, int], covers: Callable[[Tensor, Tensor], Tensor]) -> Any:
    def change(chips: Tensor, _: torch.Generator) -> Tensor:
        side = chips.shape[-1]
        place = (torch.arange(side, dtype=chips.dtype) + 0.5) * FRAME / side
        y, x = torch.meshgrid(place, place, indexing="ij")
        return torch.where(
            covers(x, y), torch.tensor(colour, dtype=chips.dtype)[:, None, None], chips
        )

    return change


PROBES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "blur of 3 pixels": blurred(3.0, 3.0),
    "20 pixels": shrunk(20, 20),
    "15 % of the light": lambda chips, _: chips * 0.15,
    "JPEG 12": compressed(12, 12),
    "grey": greyed,
    "mask": _cover(
        (170, 200, 220),
        lambda x, y: (y > 64) & ((x - 56).abs() < 40 - (y - 64).clamp(min=0) * 0.25),
    ),
    "eyes covered": _cover((20, 20, 20), lambda x, y: (y > 42) & (y < 61) & ((x - 56).abs() < 42)),
    "forehead covered": _cover((60, 45, 35), lambda x, y: y + 0 * x < 40),
}
"""What each kind does to float chips (n, 3, side, side) with landmarks as in SFace's geometry."""


def probe(chips: PixelArray, name: str) -> PixelArray:
    """Return the probes of uint8 chips (n, size, size, 3)."""
    made = PROBES[name](
        torch.from_numpy(np.ascontiguousarray(chips)).permute(0, 3, 1, 2).float(),
        torch.Generator().manual_seed(0),
    )
    pixels: PixelArray = (
        made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    )
    return pixels


@dataclass(frozen=True, slots=True)
class Hardship:
    """How often probes of one kind are rejected by two models, and how often strangers match.

    `gain` is the fall of the FNMR, with an interval over people. `strangers` are the FMR of probes
    against clean photos, and `alike` that of probes against probes. Each has the value of the
    model before and after, at the threshold at which its clean photos have an FMR of 1e-4.
    """

    name: str
    fnmr: tuple[float, float]
    gain: Interval
    strangers: tuple[float, float]
    alike: tuple[float, float]

    def on_card(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "FNMR before": self.fnmr[0],
            "FNMR after": self.fnmr[1],
            "fewer rejections": (self.gain.estimate, self.gain.low, self.gain.high),
            "FMR before": self.strangers[0],
            "FMR after": self.strangers[1],
            "FMR of two probes before": self.alike[0],
            "FMR of two probes after": self.alike[1],
        }


Embed = Callable[[PixelArray], Sequence[FloatArray]]
"""Embeds chips (n, size, size, 3) with the model before and the one after: twice (n, 128)."""


def measure_probes(chips: PixelArray, labels: IntArray, embed: Embed) -> Iterator[Hardship]:
    """Compare two models on every kind of probe of labelled chips, (n, size, size, 3) and (n,).

    Only photos of people who have another one become probes: they are compared with all others.
    """
    clean = embed(chips)
    _, person, photos = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(photos[person] > 1)
    limits = [threshold_at_fmr(all_pairs(one, labels).impostor, FMR) for one in clean]
    for name in PROBES:
        probes = embed(probe(chips[rows], name))
        counts = [
            count_errors(before, after, labels, rows=rows, threshold=limit)
            for before, after, limit in zip(clean, probes, limits, strict=True)
        ]
        yield _hardship(name, counts)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rejected and all genuine pairs of each person, int64 (people,), and two FMR."""

    rejected: IntArray
    genuine: IntArray
    strangers: float
    alike: float


def count_errors(
    clean: FloatArray,
    probes: FloatArray,
    labels: IntArray,
    *,
    rows: IntArray,
    threshold: float,
) -> Counts:
    """Compare probes (p, d) of the photos `rows` (p,) with clean photos (n, d), and each other.

    `labels` (n,) number the people; a probe is not compared with the photo it was made of.
    """
    person = np.unique(labels, return_inverse=True)[1]
    whose = person[rows]
    rejected, genuine = (np.zeros(int(person.max()) + 1, np.int64) for _ in range(2))
    strangers, alike = np.zeros(2), np.zeros(2)
    for start in range(0, len(rows), BLOCK):
        some = slice(start, start + BLOCK)
        same = whose[some, None] == person
        far = squared_l2(probes[some], clean) > threshold
        mates = same & (rows[some, None] != np.arange(len(person)))
        np.add.at(genuine, whose[some], mates.sum(axis=1))
        np.add.at(rejected, whose[some], (mates & far).sum(axis=1))
        strangers += (~same & ~far).sum(), (~same).sum()
        others = whose[some, None] != whose
        near = squared_l2(probes[some], probes) <= threshold
        alike += (others & near).sum(), others.sum()
    rates = (float(matched / max(1, pairs)) for matched, pairs in (strangers, alike))
    return Counts(rejected, genuine, *rates)


def _hardship(name: str, counts: list[Counts]) -> Hardship:
    before, after = counts
    fnmr = tuple(one.rejected.sum() / max(1, one.genuine.sum()) for one in counts)
    draws = times_drawn(len(before.genuine), replicates=REPLICATES, seed=0)
    with np.errstate(invalid="ignore"):
        drawn = (draws @ (before.rejected - after.rejected)) / (draws @ before.genuine)
    return Hardship(
        name=name,
        fnmr=(float(fnmr[0]), float(fnmr[1])),
        gain=interval(float(fnmr[0] - fnmr[1]), drawn),
        strangers=(before.strangers, after.strangers),
        alike=(before.alike, after.alike),
    )
