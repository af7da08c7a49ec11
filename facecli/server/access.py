"""Decide which requests the service answers."""

from __future__ import annotations

import hmac
import ipaddress
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facecli.errors import FacecliError
from facecli.faces.images import display_name

SHORTEST_TOKEN = 32
"""Characters. As hexadecimal digits, 32 characters hold 128 bits."""

OPEN = frozenset({"/", "/page.js", "/page.css", "/health", "/api"})
"""Paths that need no token.

They are the page, which asks for the token, the health check, and the description for people: a
browser that opens it cannot send a token, and it holds nothing of the gallery.
"""

ADMIN = frozenset({"/enroll", "/forget", "/rename", "/merge", "/embed"})
"""Paths that change the gallery, and the one that hands out embeddings.

An embedding is biometric data: whoever has it can recognise the person elsewhere, and what is given
away cannot be forgotten. The other answers hold names and numbers.
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: an HTTP status and a reason in one line."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of access. The administrator's token is valid for every request.

    Without `token`, everyone who can reach the service may use it. Without `admin`, nobody may
    change the gallery or get embeddings. On `loopback`, the Host header must name this machine.
    This stops DNS rebinding: a web site that points its own name to this machine to read the
    answers.
    """

    token: bytes | None
    admin: bytes | None
    loopback: bool

    def needed(self, path: str) -> Literal["token", "administrator"] | None:
        """Return whose token a path needs: anybody's, the administrator's, or none."""
        if path in ADMIN:
            return "administrator"
        return None if path in OPEN or self.token is None else "token"

    def refusal(self, path: str, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Return why a request is refused, or None."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self.loopback and not is_loopback(_without_port(host)):
            return Refusal(421, "this service answers to names of this machine only")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
            return Refusal(403, "another web site may not use this service")
        needed = self.needed(path)
        if needed is None:
            return None
        if needed == "administrator":
            if self.admin is None:
                return Refusal(403, "the service was started without --admin-token-file")
            known = [self.admin]
        else:
            known = [one for one in (self.token, self.admin) if one is not None]
        if _is_given(known, headers):
            return None
        whose = "the administrator's token" if needed == "administrator" else "a token"
        return Refusal(401, f"{whose} is needed: Authorization: Bearer TOKEN")

    def administers(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request has the administrator's token."""
        return self.admin is not None and _is_given([self.admin], headers)


def _is_given(tokens: list[bytes], headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request has one of the tokens; each is compared, in constant time."""
    given = headers.get(b"authorization", b"")
    return bool(sum(hmac.compare_digest(given, b"Bearer " + one) for one in tokens))


def is_loopback(host: str) -> bool:
    """Return whether a name or address is the loopback of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def read_token(path: Path) -> bytes:
    """Return the token in a file; raise FacecliError if it is too short or others can read it."""
    where = display_name(path)
    try:
        mode = path.stat().st_mode
        token = path.read_bytes().strip()
    except OSError as error:
        raise FacecliError(f"{where}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FacecliError(f"{where}: others may read it: chmod 600 it")
    if len(token) < SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise FacecliError(
            f"{where}: a token is one word of {SHORTEST_TOKEN} ASCII characters or more, "
            "such as 'openssl rand -hex 32' makes"
        )
    return token
