"""What a run learns from, a batch of it on the device, and the loss of that batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facecli.training import losses
from facecli.training.config import TrainingConfig
from facecli.types import FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from, row by row: n chips, their labels and, where known, their targets.

    `chips` uint8 (m, size, size, 3), of which `rows` int64 (n,) are used, or all if it is None;
    `labels` int64 (n,) with -1 for nobody named, `targets` float32 (n, 128) unit vectors with
    rows of NaN where there is none, or None.
    """

    chips: PixelArray
    labels: IntArray
    targets: FloatArray | None
    rows: IntArray | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch on the device: chips float32 (n, 3, size, size) of values 0 to 255 and its rows.

    `labels` int64 (n,) and `targets` (n, 128) are its own; `all_targets` (m, 128) and `all_labels`
    (m,) those of the whole data, in which `rows` (n,) finds it. `complete` says that every row has
    a target.
    """

    chips: Tensor
    rows: Tensor
    labels: Tensor
    targets: Tensor | None
    all_labels: Tensor
    all_targets: Tensor | None
    complete: bool


class Batches:
    """Rows of the training data as tensors; on an accelerator all of it is moved there once."""

    def __init__(self, data: TrainingData, device: torch.device) -> None:
        self.device = device
        self.chips = data.chips
        self.places = np.arange(len(data.chips)) if data.rows is None else data.rows
        self.resident: Tensor | None = None
        if device.type != "cpu":
            self.resident = torch.from_numpy(data.chips[self.places]).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.targets = None if data.targets is None else torch.from_numpy(data.targets).to(device)
        self.complete = data.targets is not None and bool(np.isfinite(data.targets).all())

    def take(self, rows: IntArray) -> Batch:
        """Return the batch of these rows of the data."""
        chosen = torch.from_numpy(rows).to(self.device)
        if self.resident is None:
            chips = torch.from_numpy(self.chips[self.places[rows]])
        else:
            chips = self.resident[chosen]
        return Batch(
            chips=chips.permute(0, 3, 1, 2).float(),
            rows=chosen,
            labels=self.labels[chosen],
            targets=None if self.targets is None else self.targets[chosen],
            all_labels=self.labels,
            all_targets=self.targets,
            complete=self.complete,
        )


def batch_loss(embeddings: Tensor, batch: Batch, config: TrainingConfig) -> dict[str, Tensor]:
    """Return the weighted `loss` of a batch, its parts and what else is reported of it.

    `embeddings` are float32 (n, 128) unit rows. Targets may have rows of NaN for photos without.
    """
    zero = embeddings.new_zeros(())
    squared = losses.pairwise_squared_l2(embeddings)
    genuine, impostor = losses.pair_masks(batch.labels)
    parts = {"triplet": zero, "target": zero, "relation": zero, "contrast": zero, "semi_hard": zero}
    parts["genuine"] = losses.mean_over(squared, genuine)
    parts["impostor"] = losses.mean_over(squared, impostor)
    if batch.targets is not None:
        wanted = batch.targets
        between = losses.pairwise_squared_l2(wanted)  # NaN where a target is missing
        genuine &= ~(between > config.doubt[1])
        impostor &= ~(between < config.doubt[0])
        parts |= _target_losses(embeddings, squared, wanted, between, batch, config)
    if config.triplet_weight:
        triplet = losses.triplet_loss(
            squared, genuine, impostor, margin=config.margin, mining=config.mining
        )
        parts |= {"triplet": triplet.loss, "semi_hard": triplet.semi_hard}
    total = (
        config.triplet_weight * parts["triplet"]
        + config.target_weight * parts["target"]
        + config.relation_weight * parts["relation"]
        + config.contrast_weight * parts["contrast"]
    )
    return {"loss": total, **parts}


def _target_losses(
    embeddings: Tensor,
    squared: Tensor,
    wanted: Tensor,
    between: Tensor,
    batch: Batch,
    config: TrainingConfig,
) -> dict[str, Tensor]:
    """Return the losses against the targets, over the rows that have one."""
    assert batch.all_targets is not None
    if not batch.complete:
        there = torch.isfinite(wanted).all(dim=1)
        if not there.any():
            return {}
        embeddings, wanted = embeddings[there], wanted[there]
        squared, between = squared[there][:, there], between[there][:, there]
    parts = {
        "target": losses.target_loss(embeddings, wanted),
        "relation": losses.relational_loss(squared, between),
    }
    if config.contrast_weight and batch.complete:
        parts["contrast"] = losses.contrast_loss(
            embeddings, batch.rows, batch.all_targets, batch.all_labels
        )
    return parts
