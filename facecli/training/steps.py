"""How a run goes: a report every few steps, and the sums that it is made of."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """A report: means over the steps since the last report.

    `triplet` is the loss that was chosen, which is the triplet loss by default. `genuine` and
    `impostor` are the mean squared L2 of such pairs in a batch. `semi_hard` is the share of genuine
    pairs with a semi-hard negative, `rate` the chips per second, `seconds` the training time so
    far, and `left` an estimate of the seconds that remain.

    Losses that do not have them leave the rest empty. `synthetic` is the share of synthetic points
    among the hardest. `accuracy` says how often the right class comes first, and
    `accuracy_with_margin` the same after the loss has made it harder. `angles` are quantiles, from
    the least to the largest, of the degrees to the learned centre of the own class in the last
    batch.
    """

    step: int
    loss: float
    triplet: float
    target: float
    relation: float
    contrast: float
    semi_hard: float
    genuine: float
    impostor: float
    learning_rate: float
    rate: float
    seconds: float
    left: float
    synthetic: float | None = None
    accuracy: float | None = None
    accuracy_with_margin: float | None = None
    angles: tuple[float, ...] = ()

    @property
    def angle(self) -> float | None:
        """The median of the angles, in degrees; None if there are none."""
        return self.angles[len(self.angles) // 2] if self.angles else None


def in_channels(maps: Tensor) -> Tensor:
    """Return maps (n, c, h, w) in the memory layout that is fastest; other shapes as they are."""
    return maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps


@dataclass(slots=True)
class Tally:
    """The sums of the losses since the last report, which was after step `first`."""

    first: int
    began: float = field(default_factory=time.monotonic)
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, parts: dict[str, Tensor]) -> None:
        """Take in the numbers of one step."""
        for name, part in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + part.detach()

    def means(self, steps: int) -> dict[str, float]:
        """Return the means over a number of steps. This waits for the device, so call it rarely."""
        totals = torch.stack(list(self.sums.values())).tolist()
        return {name: total / steps for name, total in zip(self.sums, totals, strict=True)}
