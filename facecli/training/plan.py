"""What a run will do: its request, its settings, the photos, and the models it starts from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from facecli.training.config import TrainingConfig
from facecli.training.intake import Photos, TrainingRequest
from facecli.types import ChipGeometry, ModelCard


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, read and checked before anything is written.

    `init` is the card of the model to start from, `architecture` that of the new model, which takes
    chips of `geometry`. `baseline`
    is the card of the model to compare with: the one that has the new model's name, or `init`.
    """

    request: TrainingRequest
    config: TrainingConfig
    about: dict[str, Any]
    init: ModelCard
    architecture: dict[str, Any]
    geometry: ChipGeometry
    photos: Photos
    baseline_name: str
    baseline: ModelCard

    @property
    def mirror(self) -> bool:
        """Whether the model embeds the mean of a chip and its mirror image."""
        return bool(self.architecture.get("mirror"))

    @property
    def kind(self) -> str:
        """What the labels tell apart: people, or classes of whole pictures."""
        return "classes" if self.request.whole else "people"

    @property
    def has_page(self) -> bool:
        """Whether a page tells how the run went: not for faces with the usual loss alone."""
        request = self.request
        return request.whole or self.config.loss != "triplet" or bool(request.tasks)

    def settings(self) -> dict[str, Any]:
        """Return all that decides the training; a resumed run must have the same."""
        config = dataclasses.asdict(self.config)
        del config["blend"]  # it is made after training, and may be chosen then
        return {
            **config,
            "data": self.photos.digest(),
            "chips": self.request.chips,
            "validation": str(self.request.validation),
            "outlines": str(self.request.outlines),
            "init fingerprint": self.init.fingerprint,
            "whole": self.request.whole,
        }
