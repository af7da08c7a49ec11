"""What may still hold people whom the gallery has forgotten: it names them, and erases nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.cli.gate import log_database
from facecli.cli.output import counted
from facecli.errors import FacecliError
from facecli.stores.names import name_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facecli.cli.settings import Settings

OTHER_FILES = (
    "not touched: report pages, annotated pictures, exported folders and people, XMP sidecars, "
    "CSV and JSON files, and backups; erase those that show them"
)


def leftovers(settings: Settings, names: Sequence[str]) -> Iterator[str]:
    """Yield a line for each place that may still hold these people, and how to erase them there."""
    for place in (_in_clusters, _in_decisions):
        try:
            yield from place(settings, names)
        except FacecliError as error:
            yield f"this may still hold them: {error}"
    yield OTHER_FILES


def _in_clusters(settings: Settings, names: Sequence[str]) -> Iterator[str]:
    if not settings.has_library():
        return
    from facecli.stores.library.clusters import AlbumStore

    keys = set(map(name_key, names))
    library = settings.library(create=False)
    for number, name in sorted(AlbumStore(library).names().items()):
        if name_key(name) in keys:
            yield (
                f"still named in the photo library {library.location}: cluster {number} is {name}; "
                "'facecli library forget PHOTO…' erases its photos"
            )


def _in_decisions(_: Settings, names: Sequence[str]) -> Iterator[str]:
    from facecli.stores.decisions import DecisionLog

    path = log_database(None)
    if not path.exists():
        return
    with DecisionLog(path, create=False) as log:
        count = log.naming(names)
    if count:
        yield (
            f"still named in the decision log {path}: {counted(count, 'decision')}; "
            "'facecli log prune --older-than DAYS' erases old ones"
        )
