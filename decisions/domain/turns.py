"""How often a minute a model may be asked: a token bucket that hands out moments. Pure.

A bucket holds `burst` tokens and gets one every 1 ÷ `per_second` seconds. A turn takes a token; where there is none it
takes the next one that comes, and says for how long that has to be waited: so those who wait stand in a line, and who
would stand too long learns it at once. Over any span of T seconds a bucket gives fewer than burst + per_second × T + 1
turns; the figures are chosen so that this is the allowed figure for a minute and a second. The second is what a request
may leave late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

MINUTE: Final = 60.0
LATE: Final = 1.0
"""Seconds after its moment in which a turn may still be used. Then it is lost: used late, it would meet the next ones."""
SKEW: Final = 5.0
"""Seconds by which the clocks of two processes may differ. Farther back, the clock was put back."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and so many a second after them."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens at a moment, in seconds. Below zero: so many stand in the line."""

    tokens: float
    at: float


def rate_of(per_minute: int) -> Rate:
    """Return the bucket of which never more than `per_minute` turns fall into 60 s, however they fall.

    A quarter may go at once, since the bots of a house meet at the close of a candle. Raises ValueError below 1.
    """
    if per_minute < 1:
        raise ValueError(f"{per_minute} requests a minute let nobody ask; give 1 or more")
    burst = float(max(1, per_minute // 4))
    return Rate(burst, (per_minute + 1 - burst) / (MINUTE + LATE))


def filled(bucket: Bucket | None, rate: Rate, now: float) -> Bucket:
    """Return the bucket at `now`. One that nobody knows is full; a clock that was put back fills nothing."""
    if bucket is None:
        return Bucket(rate.burst, now)
    if bucket.at - SKEW <= now < bucket.at:
        return bucket
    gained = max(0.0, now - bucket.at) * rate.per_second
    return Bucket(min(rate.burst, bucket.tokens + gained), now)


def take(bucket: Bucket | None, rate: Rate, now: float, *, longest: float) -> tuple[Bucket, float, bool]:
    """Return the bucket afterwards, the seconds until the turn's moment, and whether it was taken.

    It is not when the moment lies more than `longest` seconds ahead.
    """
    full = filled(bucket, rate, now)
    wait = max(0.0, (1.0 - full.tokens) / rate.per_second)
    if wait > longest:
        return full, wait, False
    return Bucket(full.tokens - 1.0, full.at), wait, True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for. Neither name holds a key."""

    bucket: str
    """Whose turns: model and fingerprint of the key."""
    places: str
    """Whose places: provider and fingerprint of the key."""
    rate: Rate
    at_once: int
    holder: str


@dataclass(frozen=True, slots=True)
class Step:
    """What a look brought: a turn with a place (`go`), a turn that comes later (`due`), or neither."""

    go: bool
    wait: float = 0.0
    """Seconds until the turn's moment."""
    due: float | None = None
    """That moment by the clock of those who count. None: no turn was taken."""


class Turns(Protocol):
    """Where turns and places are counted. Every call is short, and holds nothing when it returns."""

    def take(self, wanted: Wanted, *, longest: float, keep: float) -> Step:
        """Take a turn and a place if both are free now; else the next turn if it comes within `longest` seconds.

        The place frees itself after `keep` seconds.
        """
        ...

    def place(self, wanted: Wanted, *, due: float, keep: float) -> Step:
        """Take a place for a turn that was `due`. Without one, or too late for the turn, it is no `go`."""
        ...

    def leave(self, wanted: Wanted) -> None:
        """Free the place."""
        ...
