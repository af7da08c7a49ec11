"""`facecli library`: show or erase what facecli remembers about photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import PICTURES, library_option, options_for
from facecli.cli.output import confirmed, counted, emit, shown, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import LibraryError
from facecli.records import albums as records

if TYPE_CHECKING:
    from facecli.stores.library import PhotosForgotten


@click.group()
def library() -> None:
    """Show or erase what facecli remembers about photos."""


@library.command()
@library_option
@options_for()
@pass_settings
def info(settings: Settings) -> None:
    """Show how many photos and faces are remembered, and for which models."""
    found = settings.library(create=False).statistics()
    lines = [
        f"{shown(found.path)}: {counted(found.faces, 'face')} in {counted(found.photos, 'photo')}, "
        f"{counted(found.files, 'file')}, {found.size / 1e6:.1f} MB"
    ]
    lines += [f"  {shown(name)}: {count} embedded" for name, count in found.models.items()]
    emit(records.library(found), "\n".join(lines))
    if not found.private:
        warn(f"{found.path}: others may read it: chmod 600")


@library.command()
@click.argument("paths", metavar="PHOTO|DIR…", nargs=-1, required=True, type=PICTURES)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@library_option
@options_for()
@pass_settings
def forget(settings: Settings, paths: tuple[Path, ...], yes: bool) -> None:
    """Erase everything remembered about photos at or below these paths.

    The photos themselves are not touched, and need not exist any more.
    """
    remembered = settings.library(create=False)
    _ask(f"Forget the faces seen in {', '.join(map(str, paths))} for good?", yes=yes)
    _report(settings, remembered.forget(paths))


@library.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@library_option
@options_for()
@pass_settings
def clear(settings: Settings, yes: bool) -> None:
    """Erase all remembered faces of all photos."""
    remembered = settings.library(create=False)
    _ask(f"Forget all faces in {settings.library_database} for good?", yes=yes)
    _report(settings, remembered.clear())


def _ask(question: str, *, yes: bool) -> None:
    if not yes and not confirmed(question):
        raise LibraryError("nothing was forgotten: the answer was no")


def _report(settings: Settings, receipt: PhotosForgotten) -> None:
    what = f"{counted(receipt.faces, 'face')} of {counted(receipt.photos, 'photo')}"
    left = "nothing of them is left in" if receipt.scrubbed else "erased from"
    emit(
        records.photos_forgotten(receipt),
        f"Forgot {what}: {left} {shown(settings.library_database)}.",
    )
    if not receipt.scrubbed:
        warn(
            "another program has the database open: the write-ahead log keeps the erased data "
            "until that program next writes or closes"
        )
