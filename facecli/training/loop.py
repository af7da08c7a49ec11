"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facecli import losses
from facecli.checkpoints import read_tensors, write_tensors
from facecli.datasets import BatchSampler
from facecli.errors import ModelError, TrainingError
from facecli.networks import FaceNetwork
from facecli.training.augmentation import augment
from facecli.training.batchnorm import fold_batch_norm
from facecli.training.config import TrainingConfig
from facecli.types import FloatArray, IntArray, PixelArray

COLLAPSED = 0.02
"""Mean squared L2 between different people under which a network calls everybody the same."""

PATIENCE = 3
"""Reports in a row that must look collapsed before the run is stopped."""

REPORT_EVERY = 10
"""Steps between two reports."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from, row by row: n chips, their labels and, where known, their targets.

    `chips` uint8 (n, size, size, 3), `labels` int64 (n,) with -1 for nobody named, `targets`
    float32 (n, 128) unit vectors with rows of NaN where there is none, or None.
    """

    chips: PixelArray
    labels: IntArray
    targets: FloatArray | None


@dataclass(frozen=True, slots=True)
class Step:
    """What is logged every few steps, as means since the last time.

    `genuine` and `impostor` are mean squared L2 in the batch. `semi_hard` is the share of genuine pairs with a semi-hard negative, `rate` chips a second,
    `seconds` the training time so far and `left` an estimate of what remains.
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


class Trainer:
    """A network in training, with everything an interrupted run needs to continue alike."""

    def __init__(self, network: FaceNetwork, config: TrainingConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.network = network.to(device, memory_format=torch.channels_last).train()
        for name, parameter in network.named_parameters():
            parameter.requires_grad = not name.startswith(config.frozen or ("\0",))
        groups = [
            {"params": list(network.head.parameters()), "scale": 1.0},
            {"params": list(network.trunk.parameters()), "scale": config.trunk_rate},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.average = {name: value.detach().clone() for name, value in self._state().items()}
        self.step = 0
        self.seconds = 0.0
        self.suspicious = 0

    def _state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def run(
        self, data: TrainingData, *, save_to: Path, time_budget: float = math.inf
    ) -> Iterator[Step]:
        """Train to the end of the config or of `time_budget` seconds, reporting as it goes.

        The state is written to `save_to` every `validate_every` steps, before that step is
        yielded. Raises TrainingError on a loss that is not finite and on collapse.
        """
        config = self.config
        sampler = BatchSampler(
            data.labels,
            people=config.people,
            photos=config.photos,
            others=config.others,
            seed=config.seed,
        )
        source = _Batches(data, self.device)
        sums: dict[str, Tensor] = {}
        began, first = time.monotonic(), self.step
        while self.step < config.steps and self.seconds < time_budget:
            rate = self._set_rate(max(self.step / config.steps, self.seconds / time_budget))
            batch = source.take(sampler.batch(self.step))
            random = torch.Generator(self.device).manual_seed(config.seed * 1_000_003 + self.step)
            chips = augment(batch.chips, config.augmentation, random)
            chips = chips.contiguous(memory_format=torch.channels_last)
            with torch.autocast(
                self.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
            ):
                embeddings = self.network(chips)
            parts = batch_loss(embeddings, batch, config)
            self._update(parts["loss"])
            self.step += 1
            sums = {name: sums.get(name, 0.0) + part.detach() for name, part in parts.items()}
            saving = self.step % config.validate_every == 0 or self.step == config.steps
            if self.step % REPORT_EVERY and not saving:
                continue
            # Reading a number waits for the device: once in a while is enough.
            steps = self.step - first
            means = dict(
                zip(sums, (torch.stack(list(sums.values())) / steps).tolist(), strict=True)
            )
            self._watch(means)
            took = time.monotonic() - began
            self.seconds += took
            if saving:
                self.save(save_to)
            done = max(self.step / config.steps, self.seconds / time_budget)
            yield Step(
                step=self.step,
                **means,
                learning_rate=rate,
                rate=steps * len(batch.chips) / took,
                seconds=self.seconds,
                left=self.seconds * (1 - done) / done,
            )
            sums, began, first = {}, time.monotonic(), self.step

    def _set_rate(self, share: float) -> float:
        """Set the learning rates: a linear rise, then half a cosine down to a hundredth."""
        config = self.config
        rise = min(1.0, (self.step + 1) / max(1, config.warm_up))
        rate = config.learning_rate * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        head_only = self.step < config.head_steps
        for group in self.optimizer.param_groups:
            is_head = group["scale"] == 1.0 and group is self.optimizer.param_groups[0]
            group["lr"] = rate * (group["scale"] if is_head or not head_only else 0.0)
        return rate

    def _update(self, total: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = self._state()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_(
                [self.average[name] for name in floating],
                [state[name] for name in floating],
                1 - decay,
            )
            for name in state.keys() - set(floating):  # counters of batch normalisation
                self.average[name].copy_(state[name])

    def _watch(self, values: dict[str, float]) -> None:
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"step {self.step}: the loss is not a finite number; a lower learning rate may "
                "help. The last saved state is kept"
            )
        flat = 0 < values["impostor"] < COLLAPSED
        self.suspicious = self.suspicious + 1 if flat else 0
        if self.suspicious >= PATIENCE:
            raise TrainingError(
                f"step {self.step}: the network has collapsed, it gives everybody the same "
                f"embedding (mean impostor squared L2 {values['impostor']:.4f}); try semi-hard "
                "mining, a lower learning rate or targets"
            )

    def save(self, path: Path) -> None:
        """Write the whole state of the run; the file appears whole or not at all."""
        tensors = {f"network.{name}": value for name, value in self._state().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        arrays = {
            name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()
        }
        write_tensors(path, arrays, {"step": str(self.step), "seconds": repr(self.seconds)})

    def restore(self, path: Path) -> None:
        """Continue from a saved state; raise ModelError if it is of another network."""
        arrays, metadata = read_tensors(path)
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                number, _, field = rest.partition(".")
                optimizer.setdefault(int(number), {})[field] = value
        try:
            self.network.load_state_dict(_under("network.", tensors))
            self.average = {
                name: value.to(self.device) for name, value in _under("average.", tensors).items()
            }
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": optimizer, "param_groups": groups})
            self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: not a saved state of this run") from error

    def averaged(self) -> FaceNetwork:
        """Return a copy with the averaged weights, without training's batch normalisation."""
        network = copy.deepcopy(self.network).eval()
        network.load_state_dict(self.average)
        fold_batch_norm(network)
        return network


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch on the device: chips float32 (n, 3, size, size) of values 0 to 255 and its rows.

    `labels` int64 (n,) are its own; `all_targets` (m, 128) and `all_labels` (m,) those of the
    whole data, in which `rows` (n,) finds it. `complete` says that every row has a target.
    """

    chips: Tensor
    rows: Tensor
    labels: Tensor
    all_labels: Tensor
    all_targets: Tensor | None
    complete: bool


class _Batches:
    """Rows of the training data as tensors; on an accelerator all of it is moved there once."""

    def __init__(self, data: TrainingData, device: torch.device) -> None:
        self.device = device
        self.chips = data.chips
        self.resident: Tensor | None = None
        if device.type != "cpu":
            self.resident = torch.from_numpy(np.ascontiguousarray(data.chips)).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.targets = None if data.targets is None else torch.from_numpy(data.targets).to(device)
        self.complete = data.targets is not None and bool(np.isfinite(data.targets).all())

    def take(self, rows: IntArray) -> Batch:
        chosen = torch.from_numpy(rows).to(self.device)
        if self.resident is None:
            chips = torch.from_numpy(self.chips[rows])
        else:
            chips = self.resident[chosen]
        return Batch(
            chips=chips.permute(0, 3, 1, 2).float(),
            rows=chosen,
            labels=self.labels[chosen],
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
    if batch.all_targets is not None:
        wanted = batch.all_targets[batch.rows]
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
