"""The training data, batches of it on the device, and the loss of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facecli.datasets import BatchSampler
from facecli.training import losses
from facecli.training.aims import Aims
from facecli.training.config import TrainingConfig
from facecli.types import FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True)
class TrainingData:
    """n chips to learn from, with their labels and, where known, their targets.

    `chips` is uint8 (m, size, size, 3), of which `rows` int64 (n,) are used; None means all.
    `labels` is int64 (n,), -1 for photos without a name. `targets` is float32 (n, 128): unit
    vectors, or rows of NaN for photos without a target. It is None if there are no targets.
    """

    chips: PixelArray
    labels: IntArray
    targets: FloatArray | None
    rows: IntArray | None = None


@dataclass(frozen=True, slots=True)
class TakeData:
    """The takes of n photos to learn from, as the maps that the front of the trunk gives.

    `maps` is float16 (n, takes, c, h, w), or (n, takes, f) if all of the trunk is in the front, and
    the first take is the clean one. `labels` is int64 (n,). `targets` float32 (n, 128) holds for
    all takes of a photo; None if nothing is to be held to. `cut` is the number of layers in the
    front.
    """

    maps: npt.NDArray[np.float16]
    labels: IntArray
    targets: FloatArray | None
    cut: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch on the device.

    `chips` is float32 (n, 3, size, size), values 0 to 255. `labels` int64 (n,) and `targets`
    (n, 128) belong to the batch, `all_labels` (m,) and `all_targets` (m, 128) to the whole data;
    `rows` (n,) says which of those are in the batch. `complete` is true if every photo of the data
    has a target. With a `cut`, chips are maps after that many layers instead, and `clean` (n,) says
    which are of clean takes.
    """

    chips: Tensor
    rows: Tensor
    labels: Tensor
    targets: Tensor | None
    all_labels: Tensor
    all_targets: Tensor | None
    complete: bool
    cut: int | None = None
    clean: Tensor | None = None


class Batches:
    """Takes batches from the training data. An accelerator gets all of the data once, at first."""

    def __init__(self, data: TrainingData, config: TrainingConfig, device: torch.device) -> None:
        self.device = device
        self.sampler = BatchSampler(
            data.labels,
            people=config.people,
            photos=config.photos,
            others=config.others,
            seed=config.seed,
        )
        self.chips = data.chips
        self.places = np.arange(len(data.chips)) if data.rows is None else data.rows
        self.resident: Tensor | None = None
        if device.type != "cpu":
            self.resident = torch.from_numpy(data.chips[self.places]).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.targets = None if data.targets is None else torch.from_numpy(data.targets).to(device)
        self.complete = data.targets is not None and bool(np.isfinite(data.targets).all())

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which depends only on the seed and the step."""
        rows = self.sampler.batch(step)
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


class TakeBatches:
    """Takes batches of takes, P×K: a clean take of each person, and K-1 of other kinds.

    The other kinds are the same for everybody, so that strangers who are covered or blurred alike
    are each other's negatives. The photos of a person take turns.
    """

    def __init__(self, data: TakeData, config: TrainingConfig, device: torch.device) -> None:
        self.data, self.config, self.device = data, config, device
        order = np.argsort(data.labels, kind="stable")
        starts = np.unique(data.labels[order], return_index=True)[1]
        self.photos_of = np.split(order, starts[1:])
        self.stored = StoredTakes(data, device)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which depends only on the seed and the step."""
        random = np.random.default_rng([self.config.seed, step])
        people = min(self.config.people, len(self.photos_of))
        drawn = random.choice(len(self.photos_of), people, replace=False)
        kinds = 1 + random.permutation(self.data.maps.shape[1] - 1)[: self.config.photos - 1]
        takes = np.concatenate([[0], kinds])
        photos = np.stack(
            [np.resize(random.permutation(self.photos_of[one]), len(takes)) for one in drawn]
        )
        return self.stored.batch(photos.ravel(), np.tile(takes, people))


class PhotoBatches:
    """Takes P×K batches of different photos, each in a random one of its takes."""

    def __init__(self, data: TakeData, config: TrainingConfig, device: torch.device) -> None:
        self.takes, self.seed = data.maps.shape[1], config.seed
        self.sampler = BatchSampler(
            data.labels,
            people=config.people,
            photos=config.photos,
            others=config.others,
            seed=config.seed,
        )
        self.stored = StoredTakes(data, device)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which depends only on the seed and the step."""
        rows = self.sampler.batch(step)
        random = np.random.default_rng([self.seed, step, 1])
        return self.stored.batch(rows, random.integers(0, self.takes, len(rows)))


class StoredTakes:
    """Takes photos in their takes from the stored maps to the device."""

    def __init__(self, data: TakeData, device: torch.device) -> None:
        self.data, self.device = data, device
        self.labels = torch.from_numpy(data.labels).to(device)
        self.targets = None if data.targets is None else torch.from_numpy(data.targets).to(device)

    def batch(self, rows: IntArray, kind: IntArray) -> Batch:
        """Return the batch of photos `rows` (n,), each in its take `kind` (n,)."""
        chosen = torch.from_numpy(rows).to(self.device)
        return Batch(
            chips=torch.from_numpy(self.data.maps[rows, kind]).to(self.device).float(),
            rows=chosen,
            labels=self.labels[chosen],
            targets=None if self.targets is None else self.targets[chosen],
            all_labels=self.labels,
            all_targets=self.targets,
            complete=self.targets is not None,
            cut=self.data.cut,
            clean=torch.from_numpy(kind == 0).to(self.device),
        )


def batches_of(
    data: TrainingData | TakeData, config: TrainingConfig, device: torch.device
) -> Batches | TakeBatches | PhotoBatches:
    """Return what gives the batches of these data.

    Where there are as many takes as photos of a person in a batch, they are takes of one photo or a
    few; otherwise different photos.
    """
    if isinstance(data, TakeData):
        many = config.photos <= data.maps.shape[1]
        return (TakeBatches if many else PhotoBatches)(data, config, device)
    return Batches(data, config, device)


def batch_loss(
    embeddings: Tensor, batch: Batch, config: TrainingConfig, aims: Aims | None = None
) -> dict[str, Tensor]:
    """Return the weighted `loss` of a batch, its parts, and the other numbers to report.

    `embeddings` are float32 (n, d) unit rows. Targets may have rows of NaN, where a photo has no
    target. Without `aims` the loss is the triplet loss.
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
    whole = None if aims is None else aims.of_whole(embeddings, batch.labels)
    if whole is not None:
        parts |= {"triplet": whole.loss, **whole.measured}
    elif config.triplet_weight:
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
    if config.anchor_weight and batch.clean is not None and batch.targets is not None:
        away = (embeddings[batch.clean] - batch.targets[batch.clean]).square().sum(dim=1)
        total = total + config.anchor_weight * away.mean()
    if aims is not None:
        total = total + aims.of_slices(embeddings, batch.rows)
    return {"loss": total, **parts}


def _target_losses(
    embeddings: Tensor,
    squared: Tensor,
    wanted: Tensor,
    between: Tensor,
    batch: Batch,
    config: TrainingConfig,
) -> dict[str, Tensor]:
    """Return the losses against the targets, over the rows that have a target."""
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
