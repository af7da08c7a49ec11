"""What a gallery says when it refuses: the same words from every storage engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.stores.names import closest
from facecli.types import ModelCard, StoredModel

SHOWN = 12
"""Digits of a SHA-256 that a message shows."""

RENAMED = {"573e0f0ee9890b7725ea79b9c0f851b2aaeb694dfbe85232ea232e90bac82948": "resnet-128"}
"""Models whose former name now stands for another network: today's name by their fingerprint."""


def unknown_person(name: str, names_by_key: Mapping[str, str], where: str) -> GalleryError:
    """Say that a person is not enrolled, and which name might have been meant."""
    if not names_by_key:
        return GalleryError(f"no person {name!r}: nobody is enrolled in {where}")
    like = closest(name, names_by_key)
    hint = "" if like is None else f"; did you mean {like!r}?"
    return GalleryError(f"no person {name!r} in {where}{hint}")


def name_taken(holder: str) -> GalleryError:
    """Say that somebody else has a name."""
    return GalleryError(f"{holder!r} is someone else; if the two are one person, merge them")


def one_person(name: str, other: str) -> GalleryError:
    """Say that two names mean the same person."""
    return GalleryError(f"{name!r} and {other!r} are one person already")


def two_external_ids(name: str, one: str, other: str) -> GalleryError:
    """Say that a person would have two external ids."""
    return GalleryError(f"{name!r} has the external ids {one!r} and {other!r}: are they two?")


def shared_external_id(external_id: str, name: str, holder: str) -> GalleryError:
    """Say that two people would have one external id."""
    return GalleryError(f"external id {external_id!r} of {name!r} belongs to {holder!r}")


def face_enrolled(name: str, image_sha256: str, holder: str) -> GalleryError:
    """Say that a face of a photo is stored already, or is twice in a batch."""
    return GalleryError(
        f"template of {name!r}: this face of photo {image_sha256[:SHOWN]!r} "
        f"is enrolled already, as {holder!r}"
    )


def damaged_template(template: int, name: str, where: str) -> GalleryError:
    """Say that a stored embedding is not what was stored."""
    return GalleryError(
        f"{where}: template {template} of {name!r} is damaged: forget and enroll them again"
    )


def damaged_calibration(where: str) -> GalleryError:
    """Say that a stored calibration cannot be read."""
    return GalleryError(f"{where}: its calibration is damaged: clear it and calibrate again")


def other_dimension(model: ModelCard | StoredModel, stored: int, where: str) -> GalleryError:
    """Say that embeddings of a model do not have as many numbers as the gallery holds of it."""
    return GalleryError(
        f"{where}: its templates of model {model.name!r} have {stored} numbers, the model gives "
        f"{model.dimension}"
    )


def other_models(
    fingerprint: str, models: Iterable[StoredModel], where: str
) -> FingerprintMismatch:
    """Say that a gallery has templates, but none of the model asked for."""
    held = ", ".join(map(_told, (one for one in models if one.templates)))
    return FingerprintMismatch(
        f"{where} holds templates of {held}, none of the model asked for "
        f"({fingerprint[:SHOWN]}): choose one of those with --model, or enroll the people again "
        "from their photos with this one"
    )


def _told(model: StoredModel) -> str:
    now = RENAMED.get(model.fingerprint)
    name = repr(model.name) if now is None else f"{now!r}, until 0.4 called {model.name!r}"
    return f"{name} ({model.fingerprint[:SHOWN]})"
