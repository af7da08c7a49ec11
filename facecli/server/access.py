"""Who may ask the service for what."""

from __future__ import annotations

import hmac
import ipaddress
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.images import display_name

SHORTEST_TOKEN = 32
"""Characters, 128 bits even if they are only hexadecimal digits."""

OPEN = frozenset({"/", "/page.js", "/page.css", "/health"})
"""Asked for without a token: the page itself, which asks for one, and whether the service lives."""

ADMIN = frozenset({"/enroll", "/forget"})
"""What changes the gallery."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status and a reason in one line."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """Whom the service answers; the administrator's token is good for everything.

    Without `token` anyone who reaches the service may ask; without `admin` nobody may change the
    gallery. On `loopback` only names of this machine are answered: no foreign one can be bound to
    it by its owner, to let a web page read answers (DNS rebinding).
    """

    token: bytes | None
    admin: bytes | None
    loopback: bool

    def refusal(self, path: str, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Return why a request is refused, or None."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self.loopback and not is_loopback(_without_port(host)):
            return Refusal(421, "this service answers to names of this machine only")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
            return Refusal(403, "another web site may not use this service")
        if path in OPEN:
            return None
        given = headers.get(b"authorization", b"")
        if path in ADMIN:
            if self.admin is None:
                return Refusal(403, "the service was started without --admin-token-file")
            known = [self.admin]
        else:
            known = [one for one in (self.token, self.admin) if one is not None]
            if self.token is None:
                return None
        # All are compared, each in constant time.
        if sum(hmac.compare_digest(given, b"Bearer " + one) for one in known):
            return None
        whose = "the administrator's token" if path in ADMIN else "a token"
        return Refusal(401, f"{whose} is needed: Authorization: Bearer TOKEN")


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own loopback."""
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
    """Return the token in a file; raise FacecliError unless it is long and the file private."""
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
