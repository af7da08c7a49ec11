"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facecli.errors import ModelError, TrainingError
from facecli.models.checkpoints import read_tensors, write_tensors
from facecli.models.networks import FaceNetwork
from facecli.training.aims import Aims
from facecli.training.augmentation import augment
from facecli.training.batches import Batch, TakeData, TrainingData, batch_loss, batches_of
from facecli.training.batchnorm import fold_batch_norm
from facecli.training.config import TrainingConfig
from facecli.training.steps import Step, Tally, in_channels

COLLAPSED = 0.02
"""With a mean squared L2 between different people below this, everybody is the same."""

COLLAPSED_REPORTS = 3
"""A run is stopped after this many collapsed reports in a row."""

REPORT_EVERY = 10
"""Steps between two reports."""


class Trainer:
    """A network in training, and all that an interrupted run needs to continue the same way."""

    def __init__(
        self,
        network: FaceNetwork,
        config: TrainingConfig,
        device: torch.device,
        aims: Aims | None = None,
    ) -> None:
        """Take the network; without `aims` the loss is the triplet loss."""
        self.config = config
        self.device = device
        self.aims = None if aims is None else aims.to(device)
        # PyTorch's stubs lack this form of `to`.
        self.network: FaceNetwork = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._freeze()
        groups = [
            {"params": list(network.head.parameters())},
            {"params": list(network.trunk.parameters())},
        ]
        if self.aims is not None and any(True for _ in self.aims.parameters()):
            groups.append({"params": list(self.aims.parameters())})
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.average = {name: value.detach().clone() for name, value in self._state().items()}
        self.step = 0
        self.seconds = 0.0
        self.suspicious = 0

    def _freeze(self) -> None:
        names = [name for name, _ in self.network.named_parameters()]
        for prefix in self.config.frozen:
            if not any(name.startswith(prefix) for name in names):
                raise TrainingError(f"frozen: no parameter has a name that starts with {prefix!r}")
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad = not name.startswith(self.config.frozen)
        if not any(parameter.requires_grad for parameter in self.network.parameters()):
            raise TrainingError("everything is frozen: nothing is left to train")

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.network.state_dict()
        return state

    def run(
        self,
        data: TrainingData | TakeData,
        *,
        save_to: Path,
        time_budget: float = math.inf,
        log: Callable[[Step], None] = lambda _: None,
    ) -> Iterator[Step]:
        """Train until the steps of the config or `time_budget` seconds are over, and yield reports.

        A report is first given to `log`, then the state is written to `save_to`, every
        `validate_every` steps and at the end, and then the report is yielded: a run killed in
        between repeats a report but loses none. Raises TrainingError if the loss is not finite or
        the network collapses, and ModelError if the state cannot be written. A state that was saved
        before is kept.
        """
        config = self.config
        source = batches_of(data, config, self.device)
        tally = Tally(self.step)
        while self._progress(time_budget) < 1:
            rate = self._set_rate(self._progress(time_budget))
            batch = source.batch(self.step)
            embeddings, parts = self._learn(batch)
            tally.add(parts)
            at_save = self.step % config.validate_every == 0 or self.step == config.steps
            # How a loss by name begins is worth seeing: at what angle, with what accuracy.
            begins = self.step == 1 and self.aims is not None
            if self.step % REPORT_EVERY and not at_save and not begins:
                continue
            angles = () if self.aims is None else self.aims.angles(embeddings, batch.labels)
            report = self._report(tally, rate, len(batch.chips), time_budget, angles=angles)
            log(report)
            if at_save or self._progress(time_budget) >= 1:
                self.save(save_to)
            yield report
            tally = Tally(self.step)

    def _report(
        self,
        tally: Tally,
        rate: float,
        chips: int,
        time_budget: float,
        *,
        angles: tuple[float, ...],
    ) -> Step:
        """Return the report on the steps of a tally; raise TrainingError if the run has failed."""
        steps = self.step - tally.first
        means = tally.means(steps)
        self._watch(means)
        took = time.monotonic() - tally.began
        self.seconds += took
        done = self._progress(time_budget)
        return Step(
            step=self.step,
            **means,
            learning_rate=rate,
            rate=steps * chips / took,
            seconds=self.seconds,
            left=max(0.0, self.seconds * (1 - done) / done),
            angles=angles,
        )

    def _progress(self, time_budget: float) -> float:
        """Return the share of the run that is done, by steps or by time, whichever is larger."""
        steps = self.config.steps
        return max(self.step / steps if steps else 1.0, self.seconds / time_budget)

    def _learn(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Take one step; return the embeddings before it, and the loss and its parts."""
        config = self.config
        # Only seed and step count, so that an interrupted run continues with the same numbers.
        random = torch.Generator(self.device).manual_seed(config.seed * 1_000_003 + self.step)
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # dropout uses the global one
        inputs = batch.chips
        if batch.cut is None:
            inputs = augment(inputs, config.augmentation, random)
        inputs = in_channels(inputs)
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
        ):
            if batch.cut is None:
                embeddings = self.network(inputs)
            else:
                embeddings = self.network.embed_maps(inputs, batch.cut)
        parts = batch_loss(embeddings, batch, config, self.aims)
        self._update(parts["loss"])
        self.step += 1
        return embeddings.detach(), parts

    def _set_rate(self, share: float) -> float:
        """Set the learning rates: a linear rise times half a cosine that falls to a hundredth."""
        config = self.config
        rise = min(1.0, (self.step + 1) / max(1, config.warm_up))
        rate = config.learning_rate * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        head, trunk, *own = self.optimizer.param_groups
        head["lr"] = rate
        trunk["lr"] = rate * config.trunk_rate if self.step >= config.head_steps else 0.0
        for group in own:
            group["lr"] = rate * config.class_rate
        return rate

    def _update(self, total: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if total.requires_grad:  # a batch may have nothing to learn from, such as no target
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
        # Embeddings that are not numbers do not show in a triplet loss, but in the squared L2.
        if not all(map(math.isfinite, values.values())):
            raise TrainingError(
                f"step {self.step}: the loss is not a finite number; a lower learning rate may "
                "help. The last saved state is kept"
            )
        # Without people in the batch there may be no impostor pairs: then their mean is 0.
        flat = bool(self.config.people) and values["impostor"] < COLLAPSED
        self.suspicious = self.suspicious + 1 if flat else 0
        if self.suspicious >= COLLAPSED_REPORTS:
            raise TrainingError(
                f"step {self.step}: the network has collapsed, it gives everybody the same "
                f"embedding (mean impostor squared L2 {values['impostor']:.4f}); try semi-hard "
                "mining, a lower learning rate or targets. The last saved state is kept"
            )

    def save(self, path: Path) -> None:
        """Write the state of the run; the file is replaced only when the new one is complete."""
        tensors = {f"network.{name}": value for name, value in self._state().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        if self.aims is not None:
            tensors |= {f"aims.{name}": value for name, value in self.aims.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        arrays = {
            name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()
        }
        counts = {
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "suspicious": str(self.suspicious),
        }
        write_tensors(path, arrays, counts)

    def restore(self, path: Path) -> None:
        """Continue from a saved state; raise ModelError if it belongs to another network."""
        arrays, metadata = read_tensors(path)
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        try:
            self.network.load_state_dict(_under("network.", tensors))
            for name, value in _under("average.", tensors).items():
                self.average[name].copy_(value)
            if self.aims is not None:
                self.aims.load_state_dict(_under("aims.", tensors))
            self._restore_optimizer(_under("optimizer.", tensors))
            self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
            self.suspicious = int(metadata["suspicious"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: not a saved state of this run") from error

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            place, _, field = name.partition(".")
            state.setdefault(int(place), {})[field] = value
        groups = self.optimizer.state_dict()["param_groups"]
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        for number, fields in state.items():
            for field, value in fields.items():
                if value.shape == parameters[number].shape and value.ndim:
                    # The fused step needs the moments in the memory layout of their parameter.
                    fields[field] = torch.empty_like(parameters[number].detach()).copy_(value)
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def averaged(self) -> FaceNetwork:
        """Return a copy with the averaged weights, without the batch normalisation of training."""
        network: FaceNetwork = copy.deepcopy(self.network).eval()
        network.load_state_dict(self.average)
        fold_batch_norm(network)
        return network


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
