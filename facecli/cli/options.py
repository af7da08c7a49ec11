"""The options that all commands share, and the collaborators built from them on first use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecli.files import GALLERY, LIBRARY, data_file
from facecli.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.types import OptionHelpExtra

    from facecli.calibration.operating import OperatingPoint
    from facecli.recognition.recognizer import Recognizer
    from facecli.stores.gallery import Gallery
    from facecli.stores.library import Library
    from facecli.types import Detector, Encoder, ModelCard

MAX_SQUARED_L2 = 4.0
AUTOMATIC = "auto"
DEVICES = ("cpu", "cuda", "mps", "auto")

MOST_WORKERS = 8
"""Default limit: each process takes 0.3 GB, and more do not help the one that embeds and stores."""

AnyCallable = TypeVar("AnyCallable", bound="Callable[..., Any]")


class Range(click.FloatRange):
    """Numbers between two limits. NaN is refused, which Click accepts."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; raise BadParameter if it is not a number or outside the limits."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


class Settings:
    """The values of the shared options; builds the detector, encoder and gallery on first use.

    Collaborators passed in are used as they are: tests pass fakes, and the demo loads its networks
    only once. `hear` is called with every result record, also when the output is for people.
    """

    def __init__(
        self,
        *,
        detector: Detector | None = None,
        encoder: Encoder | None = None,
        gallery: Gallery | None = None,
        library: Library | None = None,
        hear: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.hear = hear
        self.db: Path | None = None
        self.library_path: Path | None = None
        self.workers = min(os.cpu_count() or 1, MOST_WORKERS)
        self.model: str | None = None
        self.threshold: float | None = None
        self.device = "cpu"
        self.json = False
        self.verbose = False
        self._detector = detector
        self._encoder = encoder
        self._gallery = gallery
        self._library = library
        self._opened: Gallery | None = None
        self._opened_library: Library | None = None

    @property
    def database(self) -> Path:
        """Path of the gallery: --db, or FACECLI_DB, or a file in the user's data folder."""
        return self.db or data_file(*GALLERY)

    def detector(self) -> Detector:
        """Return the face detector."""
        if self._detector is None:
            from facecli.models.detectors import MTCNNDetector
            from facecli.models.encoders import resolve_device

            self._detector = MTCNNDetector(device=resolve_device(self.device))
        return self._detector

    def encoder(self) -> Encoder:
        """Return the encoder of --model, or of the default model."""
        if self._encoder is None:
            from facecli.models.encoders import load_encoder

            self._encoder = load_encoder(self.model_name, device=self.device)
        return self._encoder

    @property
    def model_name(self) -> str:
        """Name or path of the requested model."""
        if self.model is not None:
            return self.model
        from facecli.models.encoders import DEFAULT_MODEL

        return DEFAULT_MODEL

    def card(self) -> ModelCard:
        """Return the model's card without loading its network."""
        if self._encoder is not None:
            return self._encoder.card
        from facecli.models.encoders import read_card

        return read_card(self.model_name)

    def has_gallery(self) -> bool:
        """Return whether there is a gallery to open."""
        return self._gallery is not None or self._opened is not None or self.database.exists()

    def gallery(self, *, create: bool = False) -> Gallery:
        """Open the gallery, which is closed when the program ends; raise GalleryError on failure.

        Only commands that store people pass `create`: a mistyped path must not become an empty
        gallery in which everyone is unknown.
        """
        if self._gallery is not None:
            return self._gallery
        if self._opened is None:
            from facecli.stores.gallery import Gallery

            self._opened = Gallery(self.database, create=create)
        return self._opened

    def recognizer(self, *, watching: bool = False) -> Recognizer:
        """Return gallery, detector and encoder at work together.

        A gallery passed in is used as it is. `watching` opens the file for every question instead,
        from any thread, as a gate needs it.
        """
        from facecli.recognition.recognizer import Networks, Recognizer
        from facecli.stores.opening import GalleryPlace, OpenedGallery, gallery_at

        place: GalleryPlace = gallery_at(self.database)
        if self._gallery is not None and not watching:
            place = OpenedGallery(self._gallery)
        networks = Networks(card=self.card, detector=self.detector, encoder=self.encoder)
        return Recognizer(networks, place, threshold=self.threshold)

    @property
    def library_database(self) -> Path:
        """Path of the photo library: --library, or FACECLI_LIBRARY, or the user's data folder."""
        return self.library_path or data_file(*LIBRARY)

    def library(self, *, create: bool = True) -> Library:
        """Open the photo library; it is closed when the program ends. Print a note if it is new."""
        if self._library is not None:
            return self._library
        if self._opened_library is None:
            from facecli.stores.library import Library

            path = self.library_database
            is_new = create and not path.exists()
            self._opened_library = Library(path, create=create)
            if is_new:
                kept = f"faces seen are remembered in {shown(path)}"
                click.echo(f"{kept}; 'facecli library clear' erases them", err=True)
        return self._opened_library

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

    def for_another_command(self, hear: Callable[[dict[str, Any]], None]) -> Settings:
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
        other.json, other.verbose = self.json, self.verbose
        return other

    def close(self) -> None:
        """Close what was opened here. Collaborators passed in stay open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._opened_library is not None:
            self._opened_library.close()
            self._opened_library = None


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings that all contexts of one run share."""
    settings: Settings = ctx.find_root().ensure_object(Settings)
    return settings


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Hand the Settings to a command as its first argument."""


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store an option in the settings if it was given. An option after the command name wins."""
    from click.core import ParameterSource

    if param.name is None or ctx.get_parameter_source(param.name) is ParameterSource.DEFAULT:
        return
    setattr(settings_of(ctx), param.name, value)


class Option(click.Option):
    """An option whose default may be described in words, shown as Click shows values."""

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return what stands in brackets after the help, without parentheses around words."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


def _shared(*names: str, **attributes: Any) -> Callable[[AnyCallable], AnyCallable]:
    return click.option(*names, cls=Option, expose_value=False, callback=_remember, **attributes)


SHARED = (
    _shared(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="PATH",
        help="The database of enrolled people.",
        show_default=f"${GALLERY[0]}, or {GALLERY[1]} in the user's data folder",
    ),
    _shared(
        "--model",
        metavar="NAME|FILE",
        help="The model: its name, or a checkpoint file.",
        show_default="facecli-128",
    ),
    _shared(
        "--threshold",
        type=Range(0.0, MAX_SQUARED_L2),
        metavar="SQUARED_L2",
        help="The largest squared L2 that counts as the same person.",
        show_default="as calibrated, or the model's own",
    ),
    _shared(
        "--device",
        type=click.Choice(DEVICES),
        default="cpu",
        show_default=True,
        help="Where the networks run.",
    ),
    _shared("--json", is_flag=True, help="Write JSON lines to stdout, and nothing else."),
    _shared("-v", "--verbose", is_flag=True, help="Print more details, and tracebacks."),
)


library_option = _shared(
    "--library",
    "library_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The database of faces already found in photos.",
    show_default=f"${LIBRARY[0]}, or {LIBRARY[1]} in the user's data folder",
)
"""Which photo library a command uses."""

workers_option = _shared(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes that look for faces.",
    show_default=f"one per core, at most {MOST_WORKERS}",
)


def command_options(function: AnyCallable) -> AnyCallable:
    """Add the shared options. They are accepted before and after the command's name."""
    for option in reversed(SHARED):
        function = option(function)
    return function


def library_options(function: AnyCallable) -> AnyCallable:
    """Add the options of commands that look through many photos."""
    return library_option(workers_option(function))


def cluster_count(function: AnyCallable) -> AnyCallable:
    """Add --k. The command receives `k`: a number of clusters, or None for auto."""
    return click.option(
        "--k",
        callback=_count,
        default=AUTOMATIC,
        show_default=True,
        metavar="N|auto",
        help="Number of clusters. auto: the threshold decides.",
    )(function)


def _count(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == AUTOMATIC:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.", ctx=ctx, param=param)
    return int(value)
