"""A head that imitates two networks at once: solved in closed form, then calibrated.

Two networks that make different errors are better together, but only if each vector stays on its
own unit sphere. The numbers of the head therefore unfold into one vector for each network, both
are scaled to unit length, and a linear map folds the pair into one vector: see
`networks.FaceNetwork`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from facecli.errors import TrainingError
from facecli.metrics import all_pairs, threshold_at_fmr
from facecli.metrics.support import rate_name
from facecli.models import DIMENSION
from facecli.models.networks import FaceNetwork, lifted
from facecli.training.config import TrainingConfig
from facecli.training.head import evening_scales, features_of, fit_head
from facecli.training.promotion import combine
from facecli.types import FloatArray, IntArray, PixelArray

SAMPLE = 8192
"""The outputs of a solved head are measured over at most this many chips."""

INSIDE = 0.95
"""Share of the training chips within the radius of the sphere, before it is calibrated."""

ROUNDS = 30
"""Bisection steps in the search for the radius: to a billionth of the first interval."""


def fit_joined(
    network: FaceNetwork,
    chips: PixelArray,
    rows: IntArray,
    *,
    targets: FloatArray,
    embedded: FloatArray,
    config: TrainingConfig,
    mirror: bool,
) -> None:
    """Solve head, `unfold` and `fold` of a joined network for chips (m, size, size, 3) at `rows`.

    `targets` and `embedded`, unit rows float32 (n, 128), are the embeddings of these chips by the
    two networks; unknown targets are NaN. The squared L2 of the second network counts
    `config.teacher_weight`² times. The head is the ridge regression, as in `fit_head`, of the first
    128 principal components of both. `fold` then keeps 127 principal components of the network's
    own outputs for some of the chips, with their spread made more equal by the power
    `config.whitening`.
    """
    weight = config.teacher_weight
    known = np.isfinite(targets).all(axis=1)
    centre = embedded[known].mean(axis=0, dtype=np.float64)
    both = np.hstack([targets, weight * (embedded - centre)])
    mean = both[known].mean(axis=0)
    basis = _principal(both[known] - mean)[0][:, :DIMENSION]
    goals = np.full((len(chips), DIMENSION), np.nan, np.float32)
    goals[rows] = (both - mean) @ basis
    fit_head(network, chips, goals, config.ridge, mirror=mirror)

    sample = np.random.default_rng(config.seed).permutation(rows)[:SAMPLE]
    with torch.no_grad():
        raw = network.head(features_of(network, chips[sample], mirror=mirror)).cpu().double()
    _set_unfold(network, raw.numpy(), basis, mean, centre=centre, weight=weight)
    with torch.no_grad():
        unfolded = network.unfolded(raw.float().to(network.unfold.device))
    _set_fold(network, unfolded.cpu().double().numpy(), weight=weight, power=config.whitening)


def _set_unfold(
    network: FaceNetwork,
    raw: FloatArray,
    basis: FloatArray,
    mean: FloatArray,
    *,
    centre: FloatArray,
    weight: float,
) -> None:
    """Let the head's numbers `raw` (n, 128) unfold into a vector for each of the two networks.

    Regression pulls what it is unsure of towards the mean, in both parts alike. The first part
    shows by how much. Once that is undone, the second part finds its place on its own sphere.
    """
    drawn = np.linalg.norm((raw @ basis.T + mean)[:, :DIMENSION], axis=1).mean()
    parts = np.repeat([1.0, 1.0 / (weight * drawn)], DIMENSION)
    own_places = mean * parts + np.concatenate([np.zeros(DIMENSION), centre])
    network.unfold.copy_(torch.from_numpy(basis * parts[:, None]))
    network.unfold_bias.copy_(torch.from_numpy(own_places))


def _set_fold(network: FaceNetwork, unfolded: FloatArray, *, weight: float, power: float) -> None:
    """Let pairs of vectors, `unfolded` (n, 256), fold into their 127 principal components."""
    weights = np.repeat([1.0, weight], DIMENSION)
    pairs = unfolded * weights
    middle = pairs.mean(axis=0)
    directions, variances = _principal(pairs - middle)
    kept = slice(DIMENSION - 1)
    fold = directions[:, kept] * evening_scales(variances[kept], power)
    radius = np.quantile(np.linalg.norm((pairs - middle) @ fold, axis=1), INSIDE)
    network.fold.copy_(torch.from_numpy((fold * weights[:, None]).T / radius))
    network.fold_bias.copy_(torch.from_numpy(-middle @ fold / radius))


def move_sphere(
    network: FaceNetwork,
    see: Callable[[], FloatArray],
    labels: IntArray,
    *,
    rate: float,
    wanted: float,
) -> None:
    """Move centre and radius of a joined network so that false match rate `rate` is at `wanted`.

    `wanted` is in squared L2. `see` returns the current outputs of the network for the photos of
    `labels`, as `calibrated_sphere` takes them. If no radius can do it, TrainingError is raised and
    the sphere stays as it was.
    """
    reach = widen(network)
    try:
        centre, radius = calibrated_sphere(see(), labels, rate=rate, wanted=wanted)
    except TrainingError:
        recentre(network, np.zeros(DIMENSION - 1, np.float32), 1 / reach)
        raise
    recentre(network, centre, radius)


def widen(network: FaceNetwork) -> float:
    """Enlarge the sphere so that no embedding reaches its equator; return the factor."""
    # A pair of unit vectors has the length √2.
    reach = torch.linalg.matrix_norm(network.fold, 2) * 2**0.5 + network.fold_bias.norm()
    network.fold /= reach
    network.fold_bias /= reach
    return float(reach)


def calibrated_sphere(
    views: FloatArray, labels: IntArray, *, rate: float, wanted: float
) -> tuple[FloatArray, float]:
    """Return centre (127,) and radius with which false match rate `rate` is at `wanted` squared L2.

    `views` (v, n, 128) are the outputs of a widened network for n chips and, if v is 2, for their
    mirror images. Points within the radius of the centre keep their distances, divided by the
    radius; the others move to the equator. Raises TrainingError if no radius can do it.
    """
    centre: FloatArray = views[:, :, :-1].mean(axis=(0, 1))
    low = views[:, :, :-1] - centre
    lengths = np.linalg.norm(low, axis=2)
    if lengths.max() < 1e-4:
        raise TrainingError("different people of the validation photos have the same embedding")

    def threshold(radius: float) -> float:
        moved = lifted(torch.from_numpy(low / radius)).numpy()
        return threshold_at_fmr(all_pairs(combine(moved), labels).impostor, rate)

    # Below the shortest length nothing changes; at twice the longest all is nearly flat.
    near, far = float(lengths.min()), 2 * float(lengths.max())
    while threshold(far) > wanted:
        far *= 2
    if threshold(near) < wanted:
        raise TrainingError(
            f"FMR {rate_name(rate)} lies at {threshold(near):.3f} squared L2 at most, and cannot "
            f"be moved to {wanted}"
        )
    for _ in range(ROUNDS):
        middle = (near + far) / 2
        measured = threshold(middle)
        near, far = (near, middle) if measured < wanted else (middle, far)
        if abs(measured / wanted - 1) < 1e-4:
            break
    return centre, middle


def recentre(network: FaceNetwork, centre: FloatArray, radius: float) -> None:
    """Set centre and radius of the sphere, relative to those that the network has now."""
    network.fold /= radius
    network.fold_bias.sub_(torch.from_numpy(centre).to(network.fold)).div_(radius)


def _principal(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the principal directions of centred rows, as columns, and variances, largest first."""
    wide = rows.astype(np.float64)
    values, directions = np.linalg.eigh(wide.T @ wide / len(wide))
    return directions[:, ::-1], values[::-1]
