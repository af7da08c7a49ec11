"""Read and write names in XMP sidecars, and report the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.cli.output import counted, emit, note, warn
from facecli.records import albums as records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facecli.albums.grouping import Grouping
    from facecli.albums.xmp import Named
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.types import Failure

    Pictures = Sequence[EmbeddedPicture | Failure]


def show_taken(named: Named) -> None:
    """Print on stderr how many names were read from sidecars, and which sidecars failed."""
    complain(named.failures)
    note(f"{counted(named.faces, 'face')} named by sidecars")


def write_names(grouping: Grouping, pictures: Pictures, *, dry_run: bool, as_csv: bool) -> int:
    """Write names to sidecars; return the number of those that could not be written."""
    from facecli.albums.xmp import write_sidecars

    written, failures = write_sidecars(grouping, pictures, dry_run=dry_run)
    complain(failures)
    text = f"{counted(written, 'sidecar')} {'to write' if dry_run else 'written'}"
    record = records.sidecars(written, failures, dry_run=dry_run)
    emit(record, "" if as_csv else text)
    if as_csv:
        note(text)
    return len(failures)


def complain(failures: Iterable[Failure]) -> None:
    """Print on stderr each file that could not be used, with the reason."""
    for failure in failures:
        complain_of(failure)


def complain_of(failure: Failure) -> None:
    """Print on stderr one file that could not be used, with the reason."""
    warn(f"{failure.source}: {failure.reason}")
