"""Made-up samples: vectors around a centre a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fakes import GOOD

from facecli.evaluation.samples import Samples
from facecli.types import Failure, FloatArray
from facecli.vectors.distances import normalize


def samples_of(rows: FloatArray, people: Sequence[str], *, failed: Sequence[str] = ()) -> Samples:
    """Name rows `Person/0.jpg` and so on, in the order of the rows."""
    paths = tuple(f"{person or 'nobody'}/{row:03}.jpg" for row, person in enumerate(people))
    lost = tuple(f"lost{place}.jpg" for place in range(len(failed)))
    return Samples(
        paths=paths,
        people=tuple(people),
        sha256s=paths,
        faces=(0,) * len(paths),
        embeddings=rows,
        failures=tuple(Failure.no_face(path) for path in lost),
        qualities=(GOOD,) * len(paths),
        failed=tuple(failed),
        failed_paths=lost,
    )


def crowd(seed: int, *, people: int, photos: int, unnamed: int = 0, spread: float = 0.9) -> Samples:
    """Draw `photos` of each of `people`, then photos of nobody named.

    All lie in 16 of the 128 dimensions, where strangers come as close as real ones do.
    """
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(people, 16)), photos, axis=0)
    noise = spread * random.normal(size=centres.shape) * random.uniform(0.3, 1.5, (len(centres), 1))
    rows = np.concatenate([centres + noise, random.normal(size=(unnamed, 16))])
    rows = np.pad(rows, ((0, 0), (0, 112)))
    names = [f"p{row // photos:03}" for row in range(people * photos)]
    return samples_of(normalize(rows), [*names, *[""] * unnamed])
