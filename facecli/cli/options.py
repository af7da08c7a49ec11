"""The options every command shares, and the collaborators built from them when first needed."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecli.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.calibration.operating import OperatingPoint
    from facecli.stores.gallery import Gallery
    from facecli.stores.library import Library
    from facecli.types import Detector, Encoder, ModelCard

DATABASE_VARIABLE = "FACECLI_DB"
LIBRARY_VARIABLE = "FACECLI_LIBRARY"
MAX_SQUARED_L2 = 4.0
AUTOMATIC = "auto"
DEVICES = ("cpu", "cuda", "mps", "auto")

MOST_WORKERS = 8
"""By default: each takes 0.3 GB, and the process that embeds and stores keeps up with few."""

AnyCallable = TypeVar("AnyCallable", bound="Callable[..., Any]")


class Range(click.FloatRange):
    """Numbers between two ends; NaN, which Click lets through, is not one of them."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; raise BadParameter if it is none or lies outside."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


class Settings:
    """What the shared options said; builds the detector, encoder and gallery on first use.

    Collaborators given here are used as they are, which is how tests bring fakes and how the demo
    loads its networks once. `hear` is called with every result record, also of human output.
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
        """Where the gallery is: --db, else FACECLI_DB, else the platform's data directory."""
        return self.db or place(DATABASE_VARIABLE, "gallery.db")

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
        """Name or path of the model asked for."""
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
        """Tell whether there is a gallery to open."""
        return self._gallery is not None or self._opened is not None or self.database.exists()

    def gallery(self, *, create: bool = False) -> Gallery:
        """Open the gallery, to be closed when the program ends; raise GalleryError if it is none.

        Only what stores people passes `create`: a mistyped path must not become an empty gallery
        in which everyone is unknown.
        """
        if self._gallery is not None:
            return self._gallery
        if self._opened is None:
            from facecli.stores.gallery import Gallery

            self._opened = Gallery(self.database, create=create)
        return self._opened

    @property
    def library_database(self) -> Path:
        """Where the photo library is: --library, else FACECLI_LIBRARY, else as for the gallery."""
        return self.library_path or place(LIBRARY_VARIABLE, "photos.db")

    def library(self, *, create: bool = True) -> Library:
        """Open the photo library, to be closed when the program ends; say so if it is new."""
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

        That is --threshold, else what the gallery in use was calibrated to, else the model's own.
        Raises FingerprintMismatch where the gallery was calibrated for other models only.
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
        """Return settings for a command run from within this one, with the same networks.

        What it sees in photos it forgets: nobody asked for that to be remembered.
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
        """Close what was opened here; collaborators passed in stay open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._opened_library is not None:
            self._opened_library.close()
            self._opened_library = None


def place(variable: str, name: str) -> Path:
    """Return the path in an environment variable, else a file in the platform's data directory."""
    if named := os.environ.get(variable):
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("facecli") / name


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings that all contexts of one run share."""
    settings: Settings = ctx.find_root().ensure_object(Settings)
    return settings


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Hand the Settings to a command as its first argument."""


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Write an option into the settings if it was given; the command's own comes last and wins."""
    from click.core import ParameterSource

    if param.name is None or ctx.get_parameter_source(param.name) is ParameterSource.DEFAULT:
        return
    setattr(settings_of(ctx), param.name, value)


def _shared(*names: str, **attributes: Any) -> Callable[[AnyCallable], AnyCallable]:
    return click.option(*names, expose_value=False, callback=_remember, **attributes)


SHARED = (
    _shared(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="PATH",
        help=f"The database of enrolled people; else ${DATABASE_VARIABLE}, else the "
        "platform's data directory.",
    ),
    _shared("--model", metavar="NAME|FILE", help="A model by name, or a checkpoint file."),
    _shared(
        "--threshold",
        type=Range(0.0, MAX_SQUARED_L2),
        metavar="SQUARED_L2",
        help="The largest squared L2 called the same person; else as calibrated, else the model's.",
    ),
    _shared("--device", type=click.Choice(DEVICES), help="Where the networks run; else cpu."),
    _shared("--json", is_flag=True, help="Write JSON lines to stdout and nothing else."),
    _shared("-v", "--verbose", is_flag=True, help="Say more, and show tracebacks."),
)


library_option = _shared(
    "--library",
    "library_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help=f"Where faces seen in photos are remembered; else ${LIBRARY_VARIABLE}, else the "
    "platform's data directory.",
)
"""Say which photo library a command is about."""

workers_option = _shared(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Processes that look for faces; else one a core, {MOST_WORKERS} at most.",
)


def command_options(function: AnyCallable) -> AnyCallable:
    """Add the shared options, which are accepted before and after the command's name."""
    for option in reversed(SHARED):
        function = option(function)
    return function


def library_options(function: AnyCallable) -> AnyCallable:
    """Add the options of commands that look through many photos."""
    return library_option(workers_option(function))


def cluster_count(function: AnyCallable) -> AnyCallable:
    """Add --k, given to the command as `k`: a number of clusters, or None for as many as fit."""
    return click.option(
        "--k",
        callback=_count,
        default=AUTOMATIC,
        show_default=True,
        metavar="N|auto",
        help="Make N clusters.",
    )(function)


def _count(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == AUTOMATIC:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.", ctx=ctx, param=param)
    return int(value)
