"""The values of the shared options, and the collaborators built from them on first use."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.files import LIBRARY, data_file
from facecli.models import DEFAULT_DETECTOR, PRECISIONS
from facecli.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.calibration.operating import OperatingPoint
    from facecli.faces.memory import Memory
    from facecli.recognition.recognizer import Recognizer
    from facecli.records.kinds import Record
    from facecli.stores.address import Location
    from facecli.stores.contract import GalleryPlace, GalleryStore
    from facecli.stores.library import Library
    from facecli.types import Detector, Encoder, ModelCard

MOST_WORKERS = 8
"""Default limit. A process takes 0.3 GB; with more, embedding and storing become the bottleneck."""


class Settings:
    """The values of the shared options; builds the detector, encoder and gallery on first use.

    Collaborators passed in are used as they are: tests pass fakes, and the demo loads its networks
    only once. `hear` is called with every result record, also when the output is for people.
    `given` holds the names of the options that the command line gave.
    """

    def __init__(
        self,
        *,
        detector: Detector | None = None,
        encoder: Encoder | None = None,
        gallery: GalleryStore | None = None,
        library: Library | None = None,
        hear: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self.hear = hear
        self.db: Location | None = None
        self.library_path: Path | None = None
        self.workers = min(os.cpu_count() or 1, MOST_WORKERS)
        self.model: str | None = None
        self.threshold: float | None = None
        self.device = "cpu"
        self.detector_name = DEFAULT_DETECTOR
        self.precision = PRECISIONS[0]
        self.json = False
        self.verbose = False
        self.quiet = False
        self.no_progress = False
        self.reads_configuration = True
        self.given: set[str] = set()
        self._detector = detector
        self._encoder = encoder
        self._card: ModelCard | None = None
        self._gallery = gallery
        self._place: tuple[Location, GalleryPlace] | None = None
        self._library = library
        self._opened: GalleryStore | None = None
        self._opened_library: Library | None = None
        self._closing = ExitStack()

    @property
    def database(self) -> Location:
        """Where the gallery is: --db, or FACECLI_DB, or a file in the user's data folder.

        As text it has no password. Raises GalleryError for a URL that cannot be used.
        """
        from facecli.stores.address import users_gallery

        return self.db or users_gallery()

    def detector(self) -> Detector:
        """Return the detector that the model needs; raise ModelError if --detector is another."""
        self.check_detector()
        if self._detector is None:
            from facecli.models.subjects import detector_for

            self._detector = detector_for(self.card(), self.detector_name, device=self.device)
        return self._detector

    def named_detector(self) -> Detector:
        """Return the detector of --detector, also `none`, for training: no card says which yet."""
        if self._detector is None:
            from facecli.models.detectors import load_detector

            self._detector = load_detector(self.detector_name, device=self.device)
        return self._detector

    def encoder(self) -> Encoder:
        """Return the encoder of --model, or of the default model."""
        self.check_detector()
        if self._encoder is None:
            from facecli.models.encoders import load_encoder

            self._encoder = load_encoder(
                self.model_name, device=self.device, precision=self.precision
            )
        return self._encoder

    def loader(self) -> Callable[[], tuple[Detector, Encoder]]:
        """Return what loads both networks, also in another process; this one need not have them."""
        from functools import partial

        from facecli.recognition.networks import load_networks, these_networks

        self.check_detector()
        if self._detector is not None and self._encoder is not None:
            return partial(these_networks, self._detector, self._encoder)
        return partial(
            load_networks,
            self.detector_name,
            self.model_name,
            device=self.device,
            precision=self.precision,
        )

    @property
    def model_name(self) -> str:
        """Name or path of the requested model."""
        if self.model is not None:
            return self.model
        from facecli.models.encoders import DEFAULT_MODEL

        return DEFAULT_MODEL

    def card(self) -> ModelCard:
        """Return the model's card without loading its network, which is read once.

        Raises ModelError if there is none, or if a --detector was given that does not go with it.
        """
        card = self._encoder.card if self._encoder else self._card
        if card is None:
            from facecli.models.encoders import read_card

            card = self._card = read_card(self.model_name)
        if "detector_name" in self.given:
            from facecli.models.subjects import check_detector

            check_detector(card, self.detector_name)
        return card

    def check_detector(self) -> None:
        """Raise ModelError if --detector was given and does not go with the model."""
        if "detector_name" in self.given:
            self.card()

    def has_gallery(self) -> bool:
        """Return whether there is a gallery to open."""
        return self._opened is not None or self.place().exists()

    def place(self, *, watching: bool = False) -> GalleryPlace:
        """Return where the gallery is.

        A gallery passed in is used as it is. `watching` opens the stored one for every question
        instead, from any thread, as a gate needs it.
        """
        from facecli.stores.opening import OpenedGallery, gallery_at

        if self._gallery is not None and not watching:
            return OpenedGallery(self._gallery)
        database = self.database
        if self._place is None or self._place[0] != database:
            self._place = database, gallery_at(database)
        return self._place[1]

    def gallery(self, *, create: bool = False) -> GalleryStore:
        """Open the gallery, which is closed when the program ends; raise GalleryError on failure.

        Only commands that store people pass `create`: a mistyped path must not become an empty
        gallery in which everyone is unknown.
        """
        if self._gallery is not None:
            return self._gallery
        if self._opened is None:
            self._opened = self._closing.enter_context(self.place().open(create=create))
        return self._opened

    def recognizer(self, *, watching: bool = False, remembering: bool = False) -> Recognizer:
        """Return the recognizer: gallery, detector and encoder.

        `watching` is as in `place`. With `remembering`, files are searched once; see `memory`.
        """
        from facecli.recognition.networks import Networks
        from facecli.recognition.recognizer import Recognizer

        self.check_detector()  # before a gallery is made for it
        networks = Networks(
            card=self.card,
            detector=self.detector,
            encoder=self.encoder,
            memory=self.memory if remembering else lambda: None,
        )
        return Recognizer(networks, self.place(watching=watching), threshold=self.threshold)

    @property
    def library_database(self) -> Path:
        """Path of the photo library: --library, or FACECLI_LIBRARY, or the user's data folder."""
        return self.library_path or data_file(*LIBRARY)

    def library(self, *, create: bool = True, kept: str = "faces seen are") -> Library:
        """Open the photo library; it is closed when the program ends.

        If it is new, print a note, which begins with what is `kept` there.
        """
        if self._library is not None:
            return self._library
        if self._opened_library is None:
            from facecli.stores.library import Library

            path = self.library_database
            is_new = create and not path.exists()
            self._opened_library = self._closing.enter_context(Library(path, create=create))
            if is_new and not self.quiet:
                kept = "photos seen are" if self._looks_at_pictures() else kept
                click.echo(
                    f"{kept} remembered in {shown(path)}; 'facecli library clear' erases all of it",
                    err=True,
                )
        return self._opened_library

    def _looks_at_pictures(self) -> bool:
        from facecli.errors import ModelError
        from facecli.types import Subject

        try:
            return self.card().subject is Subject.PICTURE
        except ModelError:  # whoever needs the model says so
            return False

    def has_library(self) -> bool:
        """Return whether there is a photo library to open."""
        return self._library is not None or self.library_database.exists()

    def memory(self) -> Memory | None:
        """Return what remembers where the faces of files are, in the photo library.

        A library that cannot be used keeps no photo from being looked at: then it is None.
        """
        from facecli.errors import LibraryError
        from facecli.faces.finding import search_of
        from facecli.stores.library.looks import PhotoMemory

        try:
            library = self.library(kept="where faces are in photos is")
        except LibraryError as error:
            click.echo(f"not remembered for the next time: {error}", err=True)
            return None
        detector = self._detector or self.detector()
        return PhotoMemory(library, search_of(detector.version))

    def threshold_for(self, card: ModelCard) -> float:
        """Return the largest squared L2 called a match.

        That is --threshold if it was given, or the threshold calibrated in this gallery, or the
        model's own. Raises FingerprintMismatch if the gallery was calibrated for other models only.
        """
        if self.threshold is not None:
            return self.threshold
        return self.operating_point(card).threshold

    def operating_point(self, card: ModelCard) -> OperatingPoint:
        """Return the threshold for a model and what is known of strangers under it."""
        from facecli.calibration.operating import operating_point

        calibrations = self.gallery().calibrations() if self.has_gallery() else []
        return operating_point(card, calibrations, threshold=self.threshold)

    def for_another_command(self, hear: Callable[[Record], None]) -> Settings:
        """Return settings for a command that this command runs, with the same networks.

        It uses a photo library in memory: the user did not ask to remember these photos.
        """
        from facecli.stores.library import Library

        other = Settings(
            detector=self.detector(),
            encoder=self.encoder(),
            library=Library.memory(),
            hear=hear,
        )
        other.json, other.verbose, other.quiet = self.json, self.verbose, self.quiet
        other.no_progress, other.reads_configuration = self.no_progress, False
        return other

    def close(self) -> None:
        """Close what was opened here. Collaborators passed in stay open."""
        self._closing.close()
        self._opened = self._opened_library = None


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings that all contexts of one run share."""
    settings: Settings = ctx.find_root().ensure_object(Settings)
    return settings


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Hand the Settings to a command as its first argument."""
