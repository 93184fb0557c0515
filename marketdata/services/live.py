"""A live venue's tables, kept current: what its stream says is written, what it does not say is asked for.

`step` writes and never waits for the network, `asks` waits for it and runs in a thread of its own. Either can be
killed at any point: what is missing afterwards is found in the tables and asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction
from django.utils import timezone

from marketdata.domain.board import Board
from marketdata.domain.candles import Candles
from marketdata.models import Feed, Instrument
from marketdata.selectors import feed_of, followed_symbols
from marketdata.services.candles import candles_upsert
from marketdata.services.feeds import PROBLEM_LENGTH, feed_advance, feed_fail, feed_start, feed_stop, never
from marketdata.services.follow import feed_live_put, symbols_follow
from marketdata.services.keeper import Keeper
from marketdata.services.prices import ticker_put
from marketdata.services.venues import price_stream, public_venue
from marketdata.venues.public import PriceStream, PublicVenue, Purpose
from vibex.lib.clock import Deadline, to_ms
from vibex.lib.errors import Rejected, Retryable

SILENT: Final = timedelta(seconds=20)
"""A venue that has said nothing for so long, by stream or when asked, may be gone."""
AHEAD: Final = timedelta(minutes=1)
"""A candle that ends later than that cannot have closed: stored, it would hide all that close before it."""
FOLLOW_SECONDS: Final = 2.0


class LiveFeed:
    """Moves the market of one live venue."""

    def __init__(
        self,
        venue: str,
        *,
        port: PublicVenue | None = None,
        stream: PriceStream | None = None,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.venue = venue
        feed = feed_of(venue)
        self._stream = stream or price_stream(venue)
        self._board = Board(feed.interval)
        self._stopping = stopping
        self._symbols: tuple[str, ...] = ()
        self._began = timezone.now()
        self._look_at = 0.0
        self._gaps = 0
        self.keeper = Keeper(
            port or public_venue(venue, purpose=Purpose.FEED),
            feed.interval,
            streaming=self._streaming,
            stopping=stopping,
            past=port or public_venue(venue, purpose=Purpose.BACKFILL),
        )

    def begin(self) -> None:
        """Let the market's clock run and begin to listen."""
        feed_start(venue=self.venue)
        self._began = timezone.now()
        self._follow()
        if self._stream:
            self._stream.start()

    def asks(self) -> None:
        """Ask the venue for all that is due."""
        self.keeper.round()

    def step(self) -> None:
        """Write what has been said since the last step, and whether anything was."""
        self._follow()
        if self._stream:
            self._write(self._stream)
        self._tell()

    def end(self) -> None:
        """Stop listening and let the market stand still."""
        if self._stream:
            self._stream.stop()
        feed_stop(venue=self.venue)

    def _follow(self) -> None:
        now = time.monotonic()  # a clock that is put back must not stop it
        if now < self._look_at:
            return
        self._look_at = now + FOLLOW_SECONDS
        symbols = tuple(followed_symbols(self.venue))
        if symbols != self._symbols:
            self._symbols = symbols
            if self._stream:
                self._stream.follow(symbols)

    def _write(self, stream: PriceStream) -> None:
        gaps = stream.gaps()
        self._board.take(stream.drain())
        try:
            # What has closed goes first and by itself: the rest may be written again in a second.
            over_ms = to_ms(timezone.now() + AHEAD)
            self._put([one for each in self._board.closed() if len(one := each.closed_before(over_ms))], closed=True)
            with transaction.atomic():
                self._put(self._board.forming(), closed=False)
                now = timezone.now()
                ticker_put(venue=self.venue, quotes=self._board.quotes(self._symbols, now), now=now)
        except DatabaseError:
            self.keeper.look_back()  # what could not be written is on no board any more
            raise
        if gaps != self._gaps:
            self._gaps = gaps
            self.keeper.look_back()

    def _put(self, several: Sequence[Candles], *, closed: bool) -> None:
        if several:
            candles_upsert(venue=self.venue, candles=several, closed=closed)

    def _streaming(self) -> bool:
        heard = self._stream.heard_at() if self._stream else None
        return heard is not None and timezone.now() - heard < SILENT

    def _tell(self) -> None:
        """Write the heartbeat while the venue says anything, and the feed's problem when it does not any more."""
        now = timezone.now()
        told = (self._stream and self._stream.heard_at(), self.keeper.heard_at)
        heard = max((at for at in told if at), default=None)
        mine = Feed.objects.filter(venue=self.venue)
        if heard is not None and now - heard < SILENT:
            # What is written runs, whoever has stopped meanwhile: another process that fed the same venue, for one.
            mine.update(heartbeat=now, problem="", running=True)
        elif now - (heard or self._began) > SILENT:
            since = f"since {heard:%H:%M:%S} UTC" if heard else "yet"
            why = f": {self.keeper.fault}" if self.keeper.fault else ""
            mine.update(problem=f"{self.venue} has said nothing {since}{why}"[:PROBLEM_LENGTH])


def feed_catch_up(*, venue: str) -> datetime:
    """Bring a market up to now where no server does so, and return the market time it is of.

    Raises Rejected when this installation has no such market, and the venue's own error when a live one does not answer.
    """
    feed = feed_of(venue)
    if feed.kind != Feed.Kind.LIVE:
        return feed_advance(venue=venue)
    keeper = Keeper(public_venue(venue, purpose=Purpose.FEED), feed.interval)
    keeper.contracts()
    keeper.catch_up()
    now = timezone.now()
    Feed.objects.filter(venue=venue).update(heartbeat=now, problem="")
    return now


def live_open(*, venue: str, symbols: Sequence[str] = (), note: str = "", seconds: float = 15.0) -> Feed:
    """Return the feed of a live venue with its contracts read and, as far as `seconds` allow, its candles.

    `symbols` are followed besides the assets of this installation and what bots name. A venue that does not answer is
    no error: the feed's problem says so, everything holds, and it is asked again while the feed runs. Raises Rejected
    for an unknown symbol, and when the stored prices are of another market.
    """
    port = public_venue(venue, purpose=Purpose.FEED)
    feed = feed_live_put(venue=venue, source=port.source, note=note)
    keeper = Keeper(port, feed.interval, past=public_venue(venue, purpose=Purpose.BACKFILL))
    try:
        keeper.contracts()
        _follow_known(venue, symbols)
        keeper.catch_up(deadline=Deadline(seconds))
        Feed.objects.filter(venue=venue).update(heartbeat=timezone.now(), problem="")
    except Retryable as fault:
        feed_fail(venue=venue, problem=f"{venue} does not answer: {fault}")
    return feed_of(venue)


def _follow_known(venue: str, symbols: Sequence[str]) -> None:
    known = set(Instrument.objects.filter(venue=venue).values_list("symbol", flat=True))
    unknown = sorted(set(symbols) - known)
    if unknown:
        raise Rejected(f"{venue} has no contract {', '.join(unknown)}", code="symbol")
    symbols_follow(venue=venue, symbols=symbols)
