"""What is solved rather than trained: the head's start, and the final calibration of the sphere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecli.errors import TrainingError
from facecli.networks import FaceNetwork
from facecli.types import FloatArray, PixelArray

BATCH = 128


def features_of(network: FaceNetwork, chips: PixelArray) -> Tensor:
    """Return the trunk features float32 (n, f) of uint8 chips (n, size, size, 3)."""
    device = network.mean.device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(chips), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(chips[start : start + BATCH]))
            pixels = batch.to(device).permute(0, 3, 1, 2).float()
            parts.append(network.trunk((pixels - network.mean) / network.scale).float())
    return torch.cat(parts)


def fit_head(network: FaceNetwork, chips: PixelArray, targets: FloatArray, ridge: float) -> None:
    """Set the head to the ridge regression of targets on standardised features, in closed form.

    Minimises Σ‖W z + b − t‖² + `ridge`·n·‖W‖² / f over rows with a target, where z are the f
    features with zero mean and unit variance (Hastie et al. 2009, equation 3.44). The
    standardisation is folded into weight and bias.
    """
    rows = np.flatnonzero(np.isfinite(targets).all(axis=1))
    if len(rows) < 2:
        raise TrainingError("the head cannot start from targets: fewer than two chips have one")
    features = features_of(network, chips[rows]).double()
    wanted = torch.from_numpy(targets[rows]).to(features.device).double()
    mean = features.mean(dim=0)
    spread = features.std(dim=0).clamp(min=1e-6)
    standard = (features - mean) / spread
    gram = standard.T @ standard / len(rows)
    gram += ridge / len(gram) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    centre = wanted.mean(dim=0)
    weight = torch.linalg.solve(gram, standard.T @ (wanted - centre) / len(rows)).T / spread
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(centre - weight @ mean)


def principal_targets(network: FaceNetwork, chips: PixelArray, dimension: int) -> FloatArray:
    """Return stand-in targets for a trunk that never had a head of `dimension` numbers.

    They are the leading principal components of its own features, at unit length: float32
    (n, dimension).
    """
    features = features_of(network, chips)
    centred = features - features.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    scores = centred @ directions[:dimension].T
    missing = dimension - scores.shape[1]
    scores = torch.nn.functional.pad(scores, (0, max(0, missing)))
    result: FloatArray = torch.nn.functional.normalize(scores).cpu().numpy()
    return result


def calibrating_shift(embeddings: FloatArray, *, measured: float, wanted: float) -> FloatArray:
    """Return the vector (128,) that moves a threshold from `measured` to `wanted` squared L2.

    Adding c·u to every embedding and scaling back to unit length turns the cosine s of a pair
    into (s + c²) / (1 + c²) when u is orthogonal to both, so every squared L2 shrinks by
    1 / (1 + c²) and no order changes. u is the direction in which the embeddings vary least.
    To stretch rather than shrink, the mean direction is subtracted instead, found by bisection on
    how the squared L2 grow; the order may then change a little, so measure afterwards.
    """
    if measured >= wanted:
        second_moment = embeddings.T.astype(np.float64) @ embeddings / len(embeddings)
        direction = np.linalg.eigh(second_moment)[1][:, 0]
        return (direction * np.sqrt(measured / wanted - 1)).astype(np.float32)
    mean = embeddings.mean(axis=0, dtype=np.float64)
    alike = _pairs_at(embeddings, measured)
    low, high = 0.0, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        moved = _normalised(alike - middle * mean)
        grown = np.square(moved[0] - moved[1]).sum(axis=1).mean()
        low, high = (middle, high) if grown < wanted else (low, middle)
    return (-low * mean).astype(np.float32)


def _pairs_at(embeddings: FloatArray, squared: float) -> Any:
    """Return pairs (2, m, 128) of different embeddings whose squared L2 is nearest to `squared`."""
    sample = embeddings[:2000].astype(np.float64)
    distances = 2 - 2 * sample @ sample.T
    first, second = np.triu_indices(len(sample), 1)
    nearest = np.argsort(np.abs(distances[first, second] - squared))[:200]
    return np.stack([sample[first[nearest]], sample[second[nearest]]])


def _normalised(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
