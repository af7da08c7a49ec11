"""The networks in use, and the one place where they are applied to photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

from facecli.faces.acquisition import Source, acquire
from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.memory import Memory
from facecli.types import Acquisition, Detector, Encoder, Failure, ModelCard

Faces = Literal["all", "largest"]
"""Which faces of a photo count. "largest" is the main face: large, central and whole."""

FollowPhotos = Callable[[Iterable[Acquisition | Failure]], Iterable[Acquisition | Failure]]
"""Receives the photos as their faces are found and passes them on: a place for a progress bar."""


def load_networks(
    detector: str, model: str, *, device: str, precision: str
) -> tuple[Detector, Encoder]:
    """Load a model and the detector that it needs; raise ModelError as their loaders do.

    `detector` is the face detector for a model of faces.
    """
    from facecli.models.encoders import load_encoder
    from facecli.models.subjects import detector_for

    encoder = load_encoder(model, device=device, precision=precision)
    return detector_for(encoder.card, detector, device=device), encoder


def these_networks(detector: Detector, encoder: Encoder) -> tuple[Detector, Encoder]:
    """Return networks that are loaded already."""
    return detector, encoder


class Networks:
    """The detector and the encoder, each loaded when it is first needed."""

    def __init__(
        self,
        *,
        card: Callable[[], ModelCard],
        detector: Callable[[], Detector],
        encoder: Callable[[], Encoder],
        memory: Callable[[], Memory | None] = lambda: None,
    ) -> None:
        """Take what returns each of them. What is returned must be the same object every time.

        With a `memory`, files that it knows are not searched again.
        """
        self._card, self._detector, self._encoder = card, detector, encoder
        self._memory = memory

    @property
    def card(self) -> ModelCard:
        """The card of the model in use, which is read without loading the network."""
        return self._card()

    @property
    def detector(self) -> Detector:
        """The face detector."""
        return self._detector()

    @property
    def encoder(self) -> Encoder:
        """The encoder."""
        return self._encoder()

    def embed(
        self, sources: Iterable[Source], *, faces: Faces = "all", follow: FollowPhotos = iter
    ) -> Iterator[EmbeddedPicture | Failure]:
        """Load the networks; yield the faces of each source with their embeddings, in order.

        Raises ValueError for other `faces`.
        """
        if faces not in get_args(Faces):
            raise ValueError(f"faces {faces!r}: either 'all' or 'largest'")
        encoder = self.encoder
        acquired = acquire(sources, self.detector, encoder.card.geometry, memory=self._memory())
        return embed_pictures(follow(acquired), encoder, main_only=faces == "largest")
