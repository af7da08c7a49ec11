"""The engines that keep galleries, and made-up templates to keep in them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import new_template

from facecli.models import DIMENSION
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.stores.opening import gallery_at, imagined_gallery
from facecli.types import FloatArray, NewTemplate


def _on_a_server() -> GalleryPlace:
    """Return a place on a real PostgreSQL server, or skip the test where there is none."""
    pytest.importorskip("psycopg")
    from postgres_server import new_address

    return gallery_at(new_address())


PLACES: dict[str, Callable[[Path], GalleryPlace]] = {
    "sqlite-file": lambda folder: gallery_at(folder / "gallery.db"),
    "postgres": lambda _: _on_a_server(),
}
"""Each engine that keeps galleries: returns a place where there is none yet, given a new folder."""


def _made_in(
    make: Callable[[Path], GalleryPlace], folder: Path
) -> AbstractContextManager[GalleryStore]:
    return make(folder).open(create=True)


EMPTY: dict[str, Callable[[Path], AbstractContextManager[GalleryStore]]] = {
    **{name: partial(_made_in, make) for name, make in PLACES.items()},
    "sqlite-memory": lambda _: imagined_gallery(),
}
"""Each engine: returns an empty gallery, given a new folder."""


def unit_vectors(count: int, seed: int = 0, dimension: int = DIMENSION) -> FloatArray:
    """Return random unit vectors, float32 (count, dimension)."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def takes(name: str, count: int, seed: int = 0, dimension: int = DIMENSION) -> list[NewTemplate]:
    """Return a person's templates, each from a picture of its own."""
    vectors = unit_vectors(count, seed, dimension)
    return [new_template(name, vector, f"{name}-{i}") for i, vector in enumerate(vectors)]
