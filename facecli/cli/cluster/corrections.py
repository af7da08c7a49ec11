"""`facecli cluster name` and the other commands that correct clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import Whole, library_option, options_for
from facecli.cli.output import counted, emit, emit_all, shown, table
from facecli.cli.settings import Settings, pass_settings
from facecli.records import albums as records

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.albums.corrections import Corrections
    from facecli.stores.library.clusters import AlbumStore

CLUSTER = Whole(min=1)
PHOTO = click.Path(exists=True, dir_okay=False, path_type=Path)


def _correction(*arguments: Callable[..., object]) -> Callable[..., click.Command]:
    """Return a decorator: it makes a command of a function with settings and these arguments."""

    def made(function: Callable[..., object]) -> click.Command:
        for option in reversed([*arguments, library_option, options_for(), pass_settings]):
            function = option(function)
        return click.command()(function)

    return made


@_correction(click.argument("number", type=CLUSTER), click.argument("name"))
def name(settings: Settings, number: int, name: str) -> None:
    """Name the person of a cluster.

    The name stays with the cluster number. Clusters with different names are never merged.
    """
    stored = _corrections(settings).name(number, name)
    emit(records.named(number, stored), f"cluster {number} is {shown(stored)}")


@_correction(
    click.argument("into", type=CLUSTER),
    click.argument("others", nargs=-1, required=True, type=CLUSTER),
)
def merge(settings: Settings, into: int, others: tuple[int, ...]) -> None:
    """Merge clusters of the same person.

    The first cluster keeps its number and name; the others are added to it.
    """
    _corrections(settings).merge(into, others)
    record = records.corrected("merge", into, *others)
    emit(record, f"clusters {', '.join(map(str, others))} are now {into}")


@_correction(
    click.argument("number", type=CLUSTER),
    click.argument("photos", metavar="PHOTO…", nargs=-1, required=True, type=PHOTO),
)
def split(settings: Settings, number: int, photos: tuple[Path, ...]) -> None:
    """Split off faces that are another person.

    The cluster's faces in these photos become a new cluster.
    """
    contents = [_content(settings, photo) for photo in photos]
    new = _corrections(settings).split(number, contents)
    record = records.corrected("split", number, new)
    emit(record, f"{counted(len(set(contents)), 'face')} of cluster {number} are now {new}")


@_correction(
    click.argument("number", type=CLUSTER),
    click.argument("target", type=CLUSTER),
    click.argument("photos", metavar="PHOTO…", nargs=-1, required=True, type=PHOTO),
)
def move(settings: Settings, number: int, target: int, photos: tuple[Path, ...]) -> None:
    """Move faces from one cluster to another.

    The faces of cluster NUMBER in these photos go to cluster TARGET.
    """
    contents = [_content(settings, photo) for photo in photos]
    _corrections(settings).move(number, target, contents)
    record = records.corrected("move", number, target)
    emit(record, f"{counted(len(set(contents)), 'face')} of cluster {number} now in {target}")


@_correction(click.argument("one", type=CLUSTER), click.argument("other", type=CLUSTER))
def not_same(settings: Settings, one: int, other: int) -> None:
    """Mark two clusters as different people.

    They are never merged, however many photos are added.
    """
    _corrections(settings).not_same(one, other)
    record = records.corrected("not-same", one, other)
    emit(record, f"clusters {one} and {other} are different people")


@_correction()
def undo(settings: Settings) -> None:
    """Undo the last correction.

    Run it again to undo the correction before that, and so on.
    """
    undone = _corrections(settings).undo()
    emit(records.undone(undone.said), f"undone: {shown(undone.said)}")


@_correction()
def log(settings: Settings) -> None:
    """List the corrections in force.

    The newest correction comes first; undo takes back that one.
    """
    found = _store(settings).corrections()
    listed = [records.correction(one) for one in found]
    rows = [(one.id, one.created, one.said) for one in found]
    emit_all(listed, table(("number", "when", "what"), rows) if rows else "no corrections")


def _store(settings: Settings) -> AlbumStore:
    from facecli.stores.library.clusters import AlbumStore

    return AlbumStore(settings.library(create=False))


def _corrections(settings: Settings) -> Corrections:
    from facecli.albums.corrections import Corrections

    return Corrections(_store(settings))


def _content(settings: Settings, photo: Path) -> str:
    """Return the SHA-256 of a photo."""
    from facecli.albums.albums import content_of

    return content_of(photo, settings.library(create=False))
