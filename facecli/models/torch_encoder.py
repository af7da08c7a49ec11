"""What needs PyTorch to embed: networks in training, and those without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from facecli.errors import ModelError
from facecli.faces.chips import stack_chips
from facecli.models import checkpoints
from facecli.models.networks import FaceNetwork, build
from facecli.models.torch_threads import single_thread
from facecli.types import FloatArray, ModelCard, PixelArray

BATCH = 32
"""Chips per forward pass, each with its mirror image: measured fastest on two cores."""


class TorchEncoder:
    """An encoder that runs a network on PyTorch; implements the Encoder protocol."""

    def __init__(self, network: FaceNetwork, card: ModelCard, *, device: str = "cpu") -> None:
        self.card = card
        self.device = torch.device(resolve_torch_device(device))
        # PyTorch's stubs lack this form of `to`; channels_last runs a fifth faster on a CPU.
        self.network: FaceNetwork = network.eval().to(  # type: ignore[call-overload]
            self.device, memory_format=torch.channels_last
        )

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed uint8 (n, size, size, 3) RGB chips as unit vectors, float32 (n, d).

        With `mirror` in the architecture each is the normalised mean over the chip and its
        mirror image.
        """
        batches = [
            self._forward(stack_chips(chips[start : start + BATCH], self.card.geometry.size))
            for start in range(0, len(chips), BATCH)
        ]
        empty = np.empty((0, self.card.dimension), np.float32)
        return np.concatenate([empty, *batches])

    def _forward(self, batch: PixelArray) -> FloatArray:
        with single_thread(), torch.inference_mode():
            pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).float()
            if self.card.architecture.get("mirror"):
                both = self.network(torch.cat([pixels, pixels.flip(3)]))
                vectors = normalize(both[: len(batch)] + both[len(batch) :])
            else:
                vectors = self.network(pixels)
            result: FloatArray = vectors.float().cpu().numpy()
        return result


def load_torch_encoder(
    weights: checkpoints.Weights, card: ModelCard, *, device: str, source: str
) -> TorchEncoder:
    """Return an encoder for weights and their card; raise ModelError if they do not fit."""
    network = build(card.architecture)
    load_weights(network, weights, source=source)
    return TorchEncoder(network, card, device=device)


def load_weights(network: FaceNetwork, weights: checkpoints.Weights, *, source: str) -> None:
    """Put checkpoint weights into a network in single precision; raise ModelError on any gap."""
    state = {
        name: torch.from_numpy(
            tensor.astype(np.float32 if tensor.dtype.kind == "f" else tensor.dtype)
        )
        for name, tensor in weights.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{source}: its weights do not fit its architecture") from error


def resolve_torch_device(name: str) -> str:
    """Return the device to run on: `auto` takes what there is; raise ModelError if absent."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available.get(name, False):
        raise ModelError(f"--device {name}: PyTorch does not have it on this machine")
    return name


def read_inception(path: Path) -> dict[str, torch.Tensor]:
    """Return the trunk weights in a file of facenet-pytorch; raise ModelError if it has none."""
    state = read_state(path)
    return {f"trunk.body.{key}": state[key] for key in state if not key.startswith("logits.")}


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a file of PyTorch's, of which no code is run.

    Raises ModelError if it has none.
    """
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        raise ModelError(f"{path}: cannot be read as weights") from error
    return state
