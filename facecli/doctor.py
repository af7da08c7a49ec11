"""Check an installation: versions, networks, database. Every finding says if it is a problem."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facecli.errors import FacecliError
from facecli.stores.connection import SQLITE_VERSION
from facecli.types import (
    Detector,
    Encoder,
    FloatArray,
    ModelCard,
    PixelArray,
    StoredModel,
)
from facecli.vectors.distances import are_unit

if TYPE_CHECKING:
    from facecli.stores.contract import GalleryPlace, GalleryStore

PACKAGES = (
    "click",
    "onnxruntime",
    "numpy",
    "sqlite-utils",
    "pillow",
    "scipy",
    "safetensors",
)
"""Packages that facecli cannot do without."""

EXTRAS = {
    "torch": "train",
    "facenet-pytorch": "train",
    "openvino": "openvino",
    "psycopg": "postgres",
}
"""Packages that facecli can do without, and the extra that brings each."""

GOLDEN = {
    "53859a05396e68797c7d18e74973aa63504333b0da8e10f91911187991654981": (  # facecli-128
        0.04374,
        0.1224,
        0.05528,
        -0.09552,
        0.12275,
        0.11773,
        -0.1048,
        -0.1856,
    ),
    "573e0f0ee9890b7725ea79b9c0f851b2aaeb694dfbe85232ea232e90bac82948": (  # resnet-128
        0.48563,
        0.12144,
        -0.05288,
        0.08181,
        -0.01676,
        0.10167,
        0.20362,
        -0.18080,
    ),
    "6b0689dd4b4cfaa967573832f9941043467f4357667311c2db993cc92f53f869": (  # dlib-128
        -0.02748,
        0.08499,
        0.02955,
        -0.00232,
        -0.02332,
        -0.06371,
        -0.05461,
        -0.0167,
    ),
}
"""First numbers of the embedding of `self_test_chip`, by model fingerprint.

They detect what a wrong build of a library changes without an error, such as the padding.
"""

GOLDEN_TOLERANCE = 5e-3
"""bfloat16 arithmetic changes a number by 1e-3, swapped colours by 0.03, wrong padding by 0.13."""

OPEN_TO_OTHERS = (
    "others may read it: chmod 600; on a server REVOKE USAGE ON SCHEMA facecli FROM PUBLIC"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `healthy` is false if something must be done."""

    topic: str
    healthy: bool
    text: str


def examine(
    *,
    load_detector: Callable[[], Detector],
    load_encoder: Callable[[], Encoder],
    place: GalleryPlace,
) -> Iterator[Finding]:
    """Yield findings, topic by topic. A topic that fails does not stop the next one."""
    yield from _examine_versions()
    yield from _guarded("detector", lambda: _examine_detector(load_detector()))
    yield from _guarded("model", lambda: _examine_encoder(load_encoder()))
    yield from _guarded("database", lambda: _examine_gallery(place))
    yield from _guarded("database model", lambda: _examine_move(place, load_encoder().card))


def _guarded(topic: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn any failure into a finding: a broken installation can fail in any way."""
    try:
        yield from look()
    except FacecliError as error:
        yield Finding(topic, False, str(error))
    except Exception as error:
        yield Finding(topic, False, f"{type(error).__name__}: {error}")


def _examine_versions() -> Iterator[Finding]:
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    yield Finding("sqlite", True, SQLITE_VERSION)
    for package in PACKAGES:
        try:
            yield Finding(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, False, "not installed")
    for package, extra in EXTRAS.items():
        try:
            yield Finding(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, True, f"not installed: pip install 'facecli[{extra}]'")
    heic = importlib.util.find_spec("pillow_heif") is not None
    hint = "readable" if heic else "not readable; for them: pip install 'facecli[heic]'"
    yield Finding("heic photos", True, hint)


def _examine_detector(detector: Detector) -> Iterator[Finding]:
    """Search a grey picture for faces and, if one is installed, a portrait.

    What takes the whole picture searches nothing.
    """
    from PIL import Image

    from facecli import portraits
    from facecli.errors import MissingExtra
    from facecli.faces.images import open_picture
    from facecli.faces.whole import WholePicture

    if isinstance(detector, WholePicture):
        yield Finding("detector", True, "not needed: the model looks at whole pictures")
        return
    blank = Image.new("RGB", (160, 120), (90, 90, 90))
    found = len(detector.detect([blank])[0])
    yield Finding("detector", found == 0, f"{found} faces on a grey picture, 0 expected")
    try:
        portrait = open_picture(portraits.grace_hopper()).pixels
    except MissingExtra:
        return
    found = len(detector.detect([portrait])[0])
    yield Finding("detector", found == 1, f"{found} face in a portrait, 1 expected")


def self_test_chip(size: int) -> PixelArray:
    """Return a computed chip, the same on every machine: three slanted ramps in integers."""
    y, x = np.indices((size, size))
    ramps = [(x * step + y * (7 - step)) * 255 // (7 * (size - 1)) for step in (1, 3, 6)]
    return np.stack(ramps, axis=2).astype(np.uint8)


def _examine_encoder(encoder: Encoder) -> Iterator[Finding]:
    card = encoder.card
    device = getattr(encoder, "device", "cpu")
    yield Finding("model", True, f"{card.name}, fingerprint {card.fingerprint[:12]}, on {device}")
    vector = encoder.embed([self_test_chip(card.geometry.size)])[0]
    norm = float(np.linalg.norm(vector))
    if not are_unit(vector[None]).all():
        yield Finding("model self-test", False, f"an embedding of length {norm:.4f}, not 1")
    elif card.fingerprint in GOLDEN:
        yield _against_golden(vector, GOLDEN[card.fingerprint])
    else:
        yield Finding("model self-test", True, "unit length; no golden embedding of it is known")


def _against_golden(vector: FloatArray, golden: tuple[float, ...]) -> Finding:
    off = float(np.abs(vector[: len(golden)] - np.array(golden)).max())
    text = f"off the golden embedding by {off:.1e}, at most {GOLDEN_TOLERANCE:.0e} allowed"
    return Finding("model self-test", off <= GOLDEN_TOLERANCE, text)


def _examine_gallery(place: GalleryPlace) -> Iterator[Finding]:
    """Check the database, and read every template."""
    if not place.exists():
        yield Finding("database", True, f"{place.location}: none yet; enrolling someone makes it")
        return
    with place.open() as gallery:
        yield from _examine_opened(gallery)


def _examine_opened(gallery: GalleryStore) -> Iterator[Finding]:
    facts = gallery.statistics()
    size = f"{facts.size / 2**20:.1f} MiB"
    counts = f"{facts.people} people, {facts.templates} templates"
    yield Finding(
        "database", True, f"{facts.path}: {counts}, {size}, schema {facts.schema_version}"
    )
    private = "readable by its owner alone" if facts.private else OPEN_TO_OTHERS
    yield Finding("database permissions", facts.private, private)
    faults = gallery.integrity_check()
    yield Finding("database integrity", not faults, "; ".join(faults) or "no fault found")
    for model in facts.models:
        templates = len(gallery.matrix(model).template_ids)
        text = f"{templates} of {model.name}, fingerprint {model.fingerprint[:12]}, all sound"
        yield Finding("database templates", True, text)


def _examine_move(place: GalleryPlace, card: ModelCard) -> Iterator[Finding]:
    """Say what to do with templates of other models than the one in use."""
    if not place.exists():
        return
    with place.open() as gallery:
        for model in gallery.models():
            if model.templates and model.fingerprint != card.fingerprint:
                yield Finding("database model", True, _how_to_move(model, card))


def _how_to_move(model: StoredModel, card: ModelCard) -> str:
    from facecli.models.encoders import model_cards

    names = {one.fingerprint: one.name for one in model_cards()}
    name = names.get(model.fingerprint)
    stay = "its model is not installed" if name is None else f"--model {name} still uses them"
    return (
        f"{model.templates} cannot be compared with {card.name}: {stay}; to move, enroll the "
        "people again from their photos, with facecli enroll --from. Without photos there is no "
        "way to move"
    )
