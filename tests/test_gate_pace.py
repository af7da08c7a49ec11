"""A stream's pace: jitter and drift are borne, frames that waited are not decided about."""

from __future__ import annotations

import pytest

from facecli.gate.pace import CATCHING_UP, LATE, Pace

RATE = 25


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def pace(said: list[str]) -> Pace:
    return Pace(said.append)


def test_jitter_and_a_clock_that_drifts_are_no_lateness(pace: Pace) -> None:
    """Two hours at 0.5 s of jitter and 0.05 %, which would add up to 3.6 s."""
    for second in range(7200):
        assert pace.counts(second / 1.0005, 1000 + second + second % 3 / 4)


def test_what_waited_in_buffers_is_passed_over_until_the_stream_has_caught_up(
    pace: Pace, said: list[str]
) -> None:
    """The network stops for five seconds, then the decoder goes at four times the speed."""
    assert all(pace.counts(number / RATE, number / RATE) for number in range(100))
    now, counted = 9.0, []
    for number in range(100, 400):
        now = max(now + 0.25 / RATE, number / RATE)
        if pace.counts(number / RATE, now):
            counted.append(now - number / RATE)
    assert counted
    assert max(counted) < LATE
    assert not pace.lost
    assert not said


@pytest.mark.parametrize(("speed", "again"), [(0.8, 2 * LATE), (1.25, LATE)])
def test_a_stream_that_does_not_catch_up_is_lost_and_more_is_borne_if_nothing_was_gained(
    pace: Pace, said: list[str], speed: float, again: float
) -> None:
    """At 0.8 the clock may be slow, and must not cost the stream every few seconds."""
    assert pace.counts(0.0, 0.0)
    due, now = 0.0, 5.0
    while not pace.lost:
        assert not pace.counts(due, now)
        due, now = due + speed / RATE, now + 1 / RATE
    assert 5 + CATCHING_UP < now < 6 + CATCHING_UP
    assert len(said) == 1
    assert "s late" in said[0]
    pace.begin()
    assert pace.counts(0.0, now)
    assert pace.counts(0.0, now + again - 0.05)
    assert not pace.counts(0.0, now + again + 0.05)
