"""`facecli cluster review`: correct clusters on a page in a browser on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.cluster.pages import (
    finder_in_use,
    note_without_map,
    sheet_facts,
    sort_faces,
)
from facecli.cli.options import PICTURES, cluster_count, command_options, library_options
from facecli.cli.output import emit, note
from facecli.cli.settings import Settings, pass_settings
from facecli.records import albums as records

if TYPE_CHECKING:
    from facecli.server.review import ReviewPage


@click.command()
@click.argument("paths", metavar="DIR|PHOTO…", nargs=-1, required=True, type=PICTURES)
@cluster_count
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port. 0 takes any free port.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@library_options
@command_options
@pass_settings
def review(
    settings: Settings, paths: tuple[Path, ...], k: int | None, port: int, opens: bool
) -> None:
    """Correct clusters in a browser on this machine.

    Sorts the faces and serves the contact sheet at an address that cannot be guessed and that only
    this machine can reach. The page has buttons to name, merge, split, move and undo, like the
    commands. Press Ctrl-C to stop.
    """
    from facecli.server.loopback import Server

    server = Server(_page(settings, paths, k), port=port)
    emit(records.review(server.address), server.address)
    note("only this machine can open it; Ctrl-C ends it")
    if opens:
        click.launch(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()


def _page(settings: Settings, paths: tuple[Path, ...], k: int | None) -> ReviewPage:
    from facecli.report.sheet import days, places
    from facecli.server.review import ReviewPage
    from facecli.stores.library.clusters import AlbumStore

    note_without_map()
    found = sort_faces(settings, paths, k=k, min_photos=2)
    grouping, pictures = found.grouping, found.pictures
    return ReviewPage(
        grouping,
        pictures,
        AlbumStore(settings.library()),
        namer=found.namer,
        days=days(face.source for one in grouping.clusters for face in one.faces),
        places=places(grouping, pictures),
        facts=sheet_facts(grouping, settings.card()),
        finder=finder_in_use(settings),
    )
