"""Times on the command line: a date, a date and time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

AGO = re.compile(r"(\d{1,9})\s*(m|h|d|w)")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A time in UTC: ISO 8601, of the local time zone unless it names another; or 2d, 3h, 45m, 1w.

    A date alone means its first moment.
    """

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time; raise BadParameter for a text that is none."""
        text = str(value).strip()
        try:
            if ago := AGO.fullmatch(text):
                return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is neither a date or time (2026-05-31, 2026-05-31T18:00, "
                "2026-05-31T18:00+02:00) nor how long ago (45m, 3h, 2d, 1w).",
                param,
                ctx,
            )


def local(moment: datetime) -> str:
    """Return a time in the local time zone, which is named."""
    here = moment.astimezone()
    return f"{here:%Y-%m-%d %H:%M:%S} {here.tzname()} (UTC{here:%z})"
