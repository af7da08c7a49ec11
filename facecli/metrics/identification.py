"""Rank the mates in closed-set identification, where every probe has a mate in the gallery."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2


def mate_ranks(
    gallery: FloatArray,
    gallery_labels: npt.ArrayLike,
    probes: FloatArray,
    probe_labels: npt.ArrayLike,
) -> IntArray:
    """Return the rank of each probe's mate among the people of the gallery, int64 (m,) from 1.

    The ranks are those of ISO/IEC 19795-1: the share of ranks up to k is the rank-k identification
    rate. The squared L2 to a person is that to the nearest of their templates. The rank of a mate
    is the number of people at or below the mate's squared L2, the mate included. So a tie counts
    against the system, and the order of the gallery does not matter. `gallery` (n, d) and `probes`
    (m, d) have unit rows. Raises ValueError if there is no probe, or if a probe has no mate.
    """
    owners, wanted = np.asarray(gallery_labels), np.asarray(probe_labels)
    if owners.shape != (len(gallery),) or wanted.shape != (len(probes),):
        raise ValueError(
            f"{len(gallery)} templates and {len(probes)} probes need as many labels, "
            f"not {owners.shape} and {wanted.shape}"
        )
    if not len(probes):
        raise ValueError("no probes")
    strangers = wanted[~np.isin(wanted, owners)]
    if len(strangers):
        raise ValueError(f"probe of {strangers[0]} has no mate in the gallery")
    order = np.argsort(owners, kind="stable")
    people, first = np.unique(owners[order], return_index=True)
    mate = np.searchsorted(people, wanted)
    height = max(1, COMPARISONS_HELD // len(gallery))
    ranks = []
    for start in range(0, len(probes), height):
        squared = squared_l2(probes[start : start + height], gallery[order])
        nearest = np.minimum.reduceat(squared, first, axis=1)
        own = nearest[np.arange(len(nearest)), mate[start : start + height]]
        ranks.append((nearest <= own[:, None]).sum(axis=1))
    return np.concatenate(ranks)
