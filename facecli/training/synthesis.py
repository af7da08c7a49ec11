"""Symmetrical synthesis: harder negatives, made by reflecting the two points of a class.

Gu and Ko, "Symmetrical Synthesis for Deep Metric Learning", AAAI 2020, arXiv 2001.11658. A class
has two points a and p on the unit sphere. Each is reflected about the other, which gives two more
points p′ and a′ of the same class. Between two classes, the hardest of the 4 × 4 pairs counts.

All points lie in the plane of a and p, so each is α·a + β·p. Similarities of reflected points then
follow from those of the originals, and the reflected points themselves need not be made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ORIGINALS = 2
"""The points of a class come in the order a, p, p′, a′: the first two are not synthetic."""

ROUNDING = 1e-6
"""A synthetic pair counts as harder only by more than float32 is off in a similarity."""


AT_ONCE = 64
"""Classes compared with all others at a time: their values then fit into a processor's cache."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """The hardest negatives between m classes.

    `hardest` float (m, m) is the largest value between class i, the row, and class j. `synthetic`
    bool (m, m) says whether it takes a synthetic point to reach it. The diagonal means nothing.
    """

    hardest: Tensor
    synthetic: Tensor


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What may be chosen of each class: k combinations of its two points.

    `weights` (m, k, 2) are α and β. `offset` (m, k) is added to the value of a combination. The
    first `originals` of them are without synthetic points.
    """

    weights: Tensor
    offset: Tensor
    originals: int

    def part(self, first: int) -> _Candidates:
        """Return those of `AT_ONCE` classes."""
        some = slice(first, first + AT_ONCE)
        return _Candidates(self.weights[some], self.offset[some], self.originals)


def symmetric(a: Tensor, p: Tensor) -> Tensor:
    """Return p reflected about a, row by row: 2(p·a)a − p, for unit rows (m, d).

    The result has unit length and the same cosine with a as p has (Gu and Ko, equations 1 to 3,
    with α = 2 and β = 1).
    """
    return 2.0 * (a * p).sum(dim=1, keepdim=True) * a - p


def share(synthetic: Tensor, pairs: Tensor) -> Tensor:
    """Return the share, in [0, 1], of the marked pairs (m, m) whose hardest pair is synthetic."""
    return (synthetic & pairs).sum() / pairs.sum().clamp(min=1)


def pooled_similarity(a: Tensor, p: Tensor, *, synthetic: bool = True) -> Pooled:
    """Return the largest cosine between the points of each two of m classes.

    `a` and `p` float (m, d) are unit rows; row i of both is of class i. With `synthetic` the points
    are a, p and their reflections, 16 pairs; without, they are a and p, 4 pairs ("pooling only").
    """
    points = _points(a, p, synthetic=synthetic)
    return _pool(a, p, points, points)


def pooled_angles(a: Tensor, p: Tensor, *, tangent: float, synthetic: bool = True) -> Pooled:
    """Return the largest exponent of the angular loss between each two of m classes.

    The exponent is 4t²(x+y)·n − 2(1+t²)x·y for two points x, y of class i and a point n of class j
    (Wang et al. 2017, equation 8); t is the tangent of the angle. Of the 12 ordered pairs (x, y)
    only 6 differ, since x and y can change places. The rest is as in `pooled_similarity`.
    """
    points = _points(a, p, synthetic=synthetic)
    count = points.weights.shape[1]
    x, y = torch.triu_indices(count, count, offset=1, device=a.device)
    one, other = points.weights[:, x], points.weights[:, y]
    cosine = (a * p).sum(dim=1)[:, None]
    between = (one * other).sum(dim=2) + (one * other.flip(2)).sum(dim=2) * cosine
    squared = tangent**2
    # The first of the pairs is (a, p), the only one without a synthetic point.
    sums = _Candidates(4.0 * squared * (one + other), -2.0 * (1.0 + squared) * between, 1)
    return _pool(a, p, sums, points)


def _points(a: Tensor, p: Tensor, *, synthetic: bool) -> _Candidates:
    """Return the points a, p, p′ = 2c·a − p and a′ = 2c·p − a, where c is the cosine."""
    one = a.new_ones(len(a))
    zero = a.new_zeros(len(a))
    rows = [(one, zero), (zero, one)]
    if synthetic:
        twice = 2.0 * (a * p).sum(dim=1)
        rows += [(twice, -one), (-one, twice)]
    weights = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    return _Candidates(weights, weights.new_zeros(weights.shape[:2]), ORIGINALS)


def _pool(a: Tensor, p: Tensor, left: _Candidates, right: _Candidates) -> Pooled:
    """Return the largest of left·right + offset between each two classes.

    The choice is made without a gradient. Only the chosen value is computed with one, which costs a
    sixteenth of the memory.
    """
    aa, ap, pp = a @ a.T, a @ p.T, p @ p.T
    pa = ap.T
    with torch.no_grad():
        row, column, synthetic = _choose((aa, ap, pa, pp), left, right)
    la, lp = (left.weights[..., side].gather(1, row) for side in (0, 1))
    ra, rp = (right.weights[..., side].gather(1, column.T).T for side in (0, 1))
    hardest = la * (ra * aa + rp * ap) + lp * (ra * pa + rp * pp) + left.offset.gather(1, row)
    return Pooled(hardest=hardest, synthetic=synthetic)


def _choose(
    blocks: tuple[Tensor, Tensor, Tensor, Tensor], left: _Candidates, right: _Candidates
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which candidates are hardest, two int64 (m, m), and whether that is synthetic."""
    aa, ap, pa, pp = blocks
    cosines = torch.stack([torch.cat([aa, ap], dim=1), torch.cat([pa, pp], dim=1)], dim=1)
    parts = [
        _choose_some(cosines[first : first + AT_ONCE], left.part(first), right)
        for first in range(0, len(aa), AT_ONCE)
    ]
    place, synthetic = (torch.cat(part) for part in zip(*parts, strict=True))
    columns = right.weights.shape[1]
    row = place.div(columns, rounding_mode="floor")
    return row, place - row * columns, synthetic


def _choose_some(cosines: Tensor, left: _Candidates, right: _Candidates) -> tuple[Tensor, Tensor]:
    """Return for some classes, n of m, the place (n, m) of the hardest, and if it is synthetic.

    `cosines` (n, 2, 2m) are between their two originals and those of all m classes. A place counts
    the k·l combinations of candidates in the order of the left ones.
    """
    n, rows, _ = left.weights.shape
    m, columns, _ = right.weights.shape
    by_a, by_p = right.weights.permute(2, 1, 0).contiguous()  # so that the values are, too
    sides = torch.bmm(left.weights, cosines).view(n, rows, 1, 2, m)
    values = torch.addcmul(sides[..., 0, :] * by_a, sides[..., 1, :], by_p)
    values += left.offset[:, :, None, None]
    best, place = values.view(n, rows * columns, m).max(dim=1)
    plain = values[:, : left.originals, : right.originals].amax(dim=(1, 2))
    return place, best > plain + ROUNDING
