"""Where a gallery is, as a user writes it: a file's path, or the URL of a PostgreSQL server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from facecli.errors import GalleryError
from facecli.files import GALLERY, data_file

SCHEMES = ("postgresql", "postgres")
"""The two spellings that PostgreSQL itself takes."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""At least two letters: one letter is a drive. One slash: a `Path` has swallowed the other."""

_PARTS = re.compile(
    r"(?:(?P<user>[^:@/?]*)(?::(?P<password>[^@/?]*))?@)?"
    r"(?P<hosts>[\w.,:%\[\]-]*)"
    r"(?P<database>/[^@/?]*)?"
    r"(?:\?(?P<options>[^@?]*))?"
)
"""What follows `postgresql://` (PostgreSQL, "Connection URIs"), without a stray @ / or ?."""

_PLACING = ("host", "hostaddr", "port", "dbname", "user", "service")
"""The options of a URL that say which gallery it is. Others may be secret and are not shown."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database; `url` may hold a password, and the text of an address never does."""

    url: str = field(repr=False)
    public: str

    def __str__(self) -> str:
        return self.public


Location = Path | PostgresAddress
"""Where a gallery is."""


def located(text: str | os.PathLike[str]) -> Location:
    """Return where a text means: a URL is a server, anything else is the path of a file.

    Raises GalleryError for a URL that cannot be read, and for one of anything but PostgreSQL. The
    message never holds what might be a password.
    """
    written = os.fspath(text)
    found = _SCHEME.match(written)
    if found is None:
        return Path(text)
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        raise GalleryError(
            f"no gallery can be at {scheme}://…: it is a file, or postgresql://USER@HOST/DATABASE"
        )
    start = f"{found[1]}://"
    if not written.startswith(start):
        raise GalleryError(f"{scheme}:/… is a path, not a URL: give it as text, with //")
    return PostgresAddress(written, _public(written.removeprefix(start)))


def _public(rest: str) -> str:
    """Return the URL without password and other secrets, given what follows its `//`."""
    parts = _PARTS.fullmatch(rest)
    if parts is None:
        raise GalleryError(
            "the URL postgresql://… cannot be read: it is postgresql://USER@HOST/DATABASE; in a "
            "password write @ as %40, / as %2F, ? as %3F and : as %3A"
        )
    user = f"{parts['user']}@" if parts["user"] else ""
    options = [
        option
        for option in (parts["options"] or "").split("&")
        if option.partition("=")[0] in _PLACING
    ]
    shown = f"?{'&'.join(options)}" if options else ""
    return f"postgresql://{user}{parts['hosts']}{parts['database'] or ''}{shown}"


def users_gallery() -> Location:
    """Return where the user's gallery is: FACECLI_DB, or a file in the user's data folder."""
    named = os.environ.get(GALLERY[0])
    return located(named) if named else data_file(*GALLERY)


def safe_to_show(text: str) -> str:
    """Return a location as the user wrote it, without a password; also one that is refused."""
    try:
        return str(located(text))
    except GalleryError:
        return f"{text.partition(':')[0]}://…"
