"""What a model looks at decides its detector: this is the one place that chooses it."""

from __future__ import annotations

from facecli.errors import ModelError
from facecli.models import DEFAULT_DETECTOR, NO_DETECTOR
from facecli.text import shown
from facecli.types import Detector, ModelCard, Subject


def detector_for(card: ModelCard, name: str = DEFAULT_DETECTOR, *, device: str = "cpu") -> Detector:
    """Return the detector that a model needs: the whole picture, or the face detector `name`.

    Raises ModelError as `load_detector` does, and for a face model without a detector.
    """
    if card.subject is Subject.PICTURE:
        from facecli.faces.whole import WholePicture

        return WholePicture()
    check_detector(card, name)
    from facecli.models.detectors import load_detector

    return load_detector(name, device=device)


def check_detector(card: ModelCard, name: str) -> None:
    """Raise ModelError if a detector that someone asks for does not belong to a model."""
    if card.subject is Subject.PICTURE and name != NO_DETECTOR:
        raise ModelError(f"{shown(card.name)} looks at whole pictures: leave out --detector")
    if card.subject is Subject.FACE and name == NO_DETECTOR:
        raise ModelError(
            f"{shown(card.name)} looks at faces; --detector {NO_DETECTOR} needs a model trained on "
            "whole pictures"
        )
