"""Embeddings laid out on a plane, to look at: neighbours stay neighbours, distances do not."""

from __future__ import annotations

import importlib.util

import numpy as np
import numpy.typing as npt

from facecli.types import FloatArray

MOST = 1000
"""Faces laid out at most: t-SNE of so many takes seconds, and more would hide each other."""

FEWEST = 12
"""Below this many t-SNE has no neighbourhoods to keep, so two principal components serve."""

PERPLEXITY = 30.0
"""Neighbours that t-SNE keeps near, its authors' middle choice (van der Maaten & Hinton 2008)."""

HINT = "for a map in which alike faces lie together: pip install 'facecli[report]'"

Plane = npt.NDArray[np.float64]


def has_tsne() -> bool:
    """Return whether scikit-learn is installed; without it principal components serve."""
    return importlib.util.find_spec("sklearn") is not None


def project(embeddings: FloatArray) -> Plane:
    """Return places from 0 to 1 on either axis, float64 (n, 2), of at most MOST rows (n, d).

    Rows that are all the same, as of a network that has collapsed, lie in one place.
    """
    if len(embeddings) > MOST:
        raise ValueError(f"at most {MOST} faces are laid out, not {len(embeddings)}")
    rows = np.asarray(embeddings, dtype=np.float64)
    if len(rows) < FEWEST or not has_tsne() or not np.ptp(rows, axis=0).any():
        places = _principal(rows)
    else:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # scikit-learn brings it

        # Among unit vectors the order by squared L2, TSNE's own measure, is that by angle.
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=0)
        # It waits for all its threads thousands of times: on a busy machine one is 4 times as fast.
        with threadpool_limits(1):
            places = tsne.fit_transform(rows)
    low, high = places.min(axis=0, initial=np.inf), places.max(axis=0, initial=-np.inf)
    scaled: Plane = (places - low) / np.where(high > low, high - low, 1.0)
    return scaled


def _principal(rows: Plane) -> Plane:
    """Return the first two principal components; what is missing of them is 0."""
    left, scale, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    places = np.zeros((len(rows), 2))
    kept = min(2, len(scale))
    places[:, :kept] = (left * scale)[:, :kept]
    return places
