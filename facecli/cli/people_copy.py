"""`facecli people copy`: copy a whole gallery into another place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from facecli.cli.options import Where, options_for
from facecli.cli.output import counted, emit, progress, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import GalleryError
from facecli.records import transfer as records

if TYPE_CHECKING:
    from facecli.stores.address import Location
    from facecli.types import Person


@click.command("copy")
@click.option(
    "--to",
    "target",
    type=Where(dir_okay=False),
    required=True,
    metavar="PATH|URL",
    help="Where the copy goes: a file, or postgresql://USER@HOST/DATABASE.",
)
@options_for()
@pass_settings
def copy_people(settings: Settings, target: Location) -> None:
    """Copy everyone and every calibration into another database, and compare the two.

    From a file to a PostgreSQL server or back. Templates of all models are copied, with all that is
    known of them. A copy that was interrupted goes on when it is run again. Nobody is merged: it
    stops at a person whom the other database knows with other photos. The copy is a second gallery
    from then on: a person who is forgotten here stays there.
    """
    from facecli.recognition.moving import copy_gallery
    from facecli.stores.opening import gallery_at

    source, place = settings.gallery(), gallery_at(target)
    if _same(settings.database, target):
        raise GalleryError(f"{place.location}: it is the gallery itself")
    with place.open(create=True) as other:
        copied = copy_gallery(source, other, follow=_followed)
    record = records.people_copied(copied, source=source.location, gallery=place.location)
    people = counted(copied.people, "person", "people")
    templates = counted(copied.templates, "template")
    emit(
        record,
        f"{shown(place.location)}: {people} with {templates}, {copied.new} of them new, and "
        f"{counted(copied.calibrations, 'calibration')}, all as in {shown(source.location)}",
    )


def _followed(people: Sequence[Person]) -> Iterable[Person]:
    return progress(people, len(people), "people")


def _same(one: Location, other: Location) -> bool:
    """Return whether two locations are surely the same."""
    from pathlib import Path

    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return str(one) == str(other)
