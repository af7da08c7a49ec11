"""The parts that are solved, not trained: the start of the head and the final calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecli.errors import TrainingError
from facecli.models.networks import FaceNetwork
from facecli.types import FloatArray, IntArray, PixelArray

BATCH = 128
"""Chips per forward pass."""

CHIPS_AT_ONCE = 2048
"""Chips whose features are held at a time."""

WIDE = 8192
"""With more features than this, products of all with all would take gigabytes."""


def features_of(network: FaceNetwork, chips: PixelArray, *, mirror: bool = False) -> Tensor:
    """Return the features of the trunk, float32 (n, f), for uint8 chips (n, size, size, 3).

    With `mirror` they are the mean over each chip and its mirror image.
    """
    if mirror:
        return (features_of(network, chips) + features_of(network, chips[:, :, ::-1])) / 2
    device = network.mean.device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(chips), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(chips[start : start + BATCH]))
            pixels = batch.to(device).permute(0, 3, 1, 2).float()
            parts.append(network.trunk((pixels - network.mean) / network.scale).float())
    return torch.cat(parts)


def fit_head(
    network: FaceNetwork,
    chips: PixelArray,
    targets: FloatArray,
    ridge: float,
    *,
    mirror: bool = False,
) -> None:
    """Set the head to the ridge regression of targets on standardised features, in closed form.

    Minimises Σ‖W z + b − t‖² + `ridge`·n·‖W‖² / f over the rows with a target, where z are the f
    features with zero mean and unit variance (Hastie et al. 2009, equation 3.44). The
    standardisation becomes part of weight and bias. `chips` are uint8 (n, size, size, 3), `targets`
    float32 (n, 128), with rows of NaN where there is no target; `mirror` is as in `features_of`.
    Raises TrainingError for fewer than two targets.
    """
    rows = np.flatnonzero(np.isfinite(targets).all(axis=1))
    if len(rows) < 2:
        raise TrainingError("the head cannot start from targets: fewer than two chips have one")
    if network.head.in_features > max(WIDE, len(rows)):
        features = features_of(network, chips[rows], mirror=mirror).double()
        _set_head(network, *_dual_ridge(features, torch.from_numpy(targets[rows]), ridge))
        return
    mean, spread, gram, cross = _moments(network, chips, targets, rows, mirror=mirror)
    gram += ridge / len(gram) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    centre = torch.from_numpy(targets[rows].mean(axis=0, dtype=np.float64)).to(gram.device)
    weight = torch.linalg.solve(gram, cross).T / spread
    _set_head(network, weight, centre - weight @ mean)


def _set_head(network: FaceNetwork, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)


def _dual_ridge(features: Tensor, targets: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return weight (t, f) and bias (t,) of `fit_head` for features (n, f) of double precision.

    With fewer chips than features, the same solution costs n × n numbers instead of f × f (Hastie
    et al. 2009, section 12.3.7).
    """
    mean, wanted = features.mean(dim=0), targets.to(features)
    spread = features.std(dim=0, correction=0).clamp(min=1e-6)
    scaled = (features - mean) / spread
    count, width = scaled.shape
    inner = scaled @ scaled.T
    inner += ridge * count / width * torch.eye(count, dtype=inner.dtype, device=inner.device)
    centre = wanted.mean(dim=0)
    weight = (scaled.T @ torch.linalg.solve(inner, wanted - centre)).T / spread
    return weight, centre - weight @ mean


def _moments(
    network: FaceNetwork,
    chips: PixelArray,
    targets: FloatArray,
    rows: IntArray,
    *,
    mirror: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean and spread (f,) of the features, and their correlations (f, f) and (f, t).

    The first correlations are among themselves, the second with the targets. Sums are in double
    precision, block by block, since all features of a large set need several gigabytes, and around
    the mean of the first block, so that digits do not cancel.
    """
    about = None
    for start in range(0, len(rows), CHIPS_AT_ONCE):
        block = rows[start : start + CHIPS_AT_ONCE]
        features = features_of(network, chips[block], mirror=mirror).double()
        wanted = torch.from_numpy(targets[block]).to(features.device).double()
        if about is None:
            about, aim = features.mean(dim=0), wanted.mean(dim=0)
            total, sums = about * 0, aim * 0
            gram, cross = about.outer(about) * 0, about.outer(aim) * 0
        moved = features - about
        total += moved.sum(dim=0)
        sums += (wanted - aim).sum(dim=0)
        # Products in single precision take half the time; they are added in double precision.
        single = moved.float()
        gram += single.T @ single
        cross += single.T @ (wanted - aim).float()
    assert about is not None
    offset = total / len(rows)
    covariance = gram / len(rows) - offset.outer(offset)
    spread = covariance.diagonal().clamp(min=0).sqrt().clamp(min=1e-6)
    correlation = covariance / spread.outer(spread)
    with_targets = (cross / len(rows) - offset.outer(sums / len(rows))) / spread[:, None]
    return about + offset, spread, correlation, with_targets


def even_out(network: FaceNetwork, embeddings: FloatArray, power: float) -> None:
    """Change the head so that the spread of embeddings like these (n, 128) is more equal.

    The head is multiplied by the second moment of the embeddings to the power of -`power` / 2: 0
    changes nothing, 1 makes the spread equal in all directions (whitening). Between them, the noise
    of weak directions stays small.
    """
    second_moment = embeddings.T.astype(np.float64) @ embeddings / len(embeddings)
    values, directions = np.linalg.eigh(second_moment)
    scales = evening_scales(values, power)
    matrix = (directions * (scales / scales.max())) @ directions.T
    evened = torch.from_numpy(matrix.astype(np.float32)).to(network.head.weight.device)
    with torch.no_grad():
        network.head.weight.copy_(evened @ network.head.weight)
        network.head.bias.copy_(evened @ network.head.bias)


def evening_scales(variances: FloatArray, power: float) -> FloatArray:
    """Return the factor for each direction that makes variances more equal; `power` is 0 to 1."""
    scales: FloatArray = np.maximum(variances, variances.max() * 1e-6) ** (-power / 2)
    return scales


def principal_targets(network: FaceNetwork, chips: PixelArray, dimension: int) -> FloatArray:
    """Return targets for a trunk that never had a head of `dimension` numbers.

    They are the first principal components of its own features, at unit length: float32
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


def principal_directions(vectors: FloatArray, count: int) -> FloatArray:
    """Return the first `count` principal directions (count, f) of rows (n, f), about the origin.

    There are no more of them than rows if those are very wide.
    """
    wide = vectors.astype(np.float64)
    if wide.shape[1] > max(WIDE, len(wide)):
        directions = np.linalg.svd(wide, full_matrices=False)[2][:count]
        return np.ascontiguousarray(directions, np.float32)
    directions = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :count].T
    return np.ascontiguousarray(directions, np.float32)


def fit_principal_head(network: FaceNetwork, features: FloatArray) -> None:
    """Set the head to the first principal components of features (n, f), about their mean.

    Where there are fewer features than the head has numbers, the other rows stay as they are.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    directions = principal_directions(features - mean, network.head.out_features)
    with torch.no_grad():
        network.head.weight[: len(directions)] = torch.from_numpy(directions)
        network.head.bias[: len(directions)] = torch.from_numpy(-directions @ mean)


def calibrating_shift(embeddings: FloatArray, *, measured: float, wanted: float) -> FloatArray:
    """Return the vector (128,) that moves a threshold from `measured` to `wanted` squared L2.

    Add c·u to every embedding and scale it to unit length: if u is orthogonal to both, the cosine s
    of a pair becomes (s + c²) / (1 + c²), so every squared L2 shrinks by 1 / (1 + c²) and their
    order stays. u is the direction in which the embeddings vary least. To make the squared L2
    larger, part of the mean embedding is subtracted; how much is found by bisection. The order may
    then change a little, so measure again afterwards.
    """
    if measured >= wanted:
        second_moment = embeddings.T.astype(np.float64) @ embeddings / len(embeddings)
        direction = np.linalg.eigh(second_moment)[1][:, 0]
        shift: FloatArray = (direction * np.sqrt(measured / wanted - 1)).astype(np.float32)
        return shift
    mean = embeddings.mean(axis=0, dtype=np.float64)
    alike = _pairs_at(embeddings, measured)
    low, high = 0.0, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        moved = _normalised(alike - middle * mean)
        grown = np.square(moved[0] - moved[1]).sum(axis=1).mean()
        low, high = (middle, high) if grown < wanted else (low, middle)
    stretch: FloatArray = (-low * mean).astype(np.float32)
    return stretch


def _pairs_at(embeddings: FloatArray, squared: float) -> Any:
    """Return pairs (2, m, 128) of different embeddings whose squared L2 is nearest to `squared`."""
    sample = embeddings[:2000].astype(np.float64)
    distances = 2 - 2 * sample @ sample.T
    first, second = np.triu_indices(len(sample), 1)
    nearest = np.argsort(np.abs(distances[first, second] - squared))[:200]
    return np.stack([sample[first[nearest]], sample[second[nearest]]])


def _normalised(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
