"""Writers of contracts, newest prices, funding and open interest."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate, Instrument, OpenInterest, Ticker
from marketdata.selectors import market_clock
from marketdata.services.upsert import upsert
from marketdata.venues.public import Interest
from vibex.lib.events import publish_market_on_commit

log = logging.getLogger(__name__)

PRICES: Final = [field.name for field in fields(Quote) if field.name != "symbol"]
KEPT: Final = ("id", "venue", "symbol", "followed")
"""What an upsert never changes of a known contract."""
PRIVATE: Final = ("maker_fee", "taker_fee", "max_leverage", "brackets")
"""What only a signed request tells truly: a public list of contracts keeps what is stored."""
INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "at": ("last", "bid", "ask", "changed_at"),
    "mark_at": ("mark",),
    "funding_at": ("funding_rate", "next_funding_at"),
    "open_interest_at": ("open_interest",),
}
"""The parts of a ticker by the column of their time: each has a time of its own and never goes back."""
TOO_LARGE: Final = Decimal(10) ** 18
"""What has more digits before the point than the columns have."""
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
SLACK: Final = timedelta(minutes=1)
"""What the clocks of venue and machine may differ by, generously."""
INTEREST_EVERY: Final = timedelta(minutes=5)
FIFTEEN_DIGITS: Final = Context(prec=15)
"""As many as SQLite keeps; finer than any venue counts its open interest."""


def instruments_upsert(*, specs: Iterable[InstrumentSpec], public: bool = False, followed: bool = True) -> None:
    """Store the rules of contracts; known ones are brought up to date.

    With `public` the specs come from a list that everybody may ask for: stored fees, leverage and brackets stay.
    `followed` is for contracts that are new; what a person has chosen for a known one stays.
    """
    rows = [_instrument(spec, followed=followed) for spec in specs]
    kept = (*KEPT, *PRIVATE) if public else KEPT
    names = [field.name for field in Instrument._meta.concrete_fields]
    Instrument.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["venue", "symbol"],
        update_fields=[name for name in names if name not in kept],
    )


def unstorable(spec: InstrumentSpec) -> str:
    """Return why the tables cannot keep a contract, empty when they can. One that cannot must not stop the others."""
    row = _instrument(spec, followed=False)
    try:
        row.clean_fields()
        for column in Instrument._meta.concrete_fields:
            column.get_db_prep_save(getattr(row, column.attname), connection)
    except ValidationError as error:
        return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
    except (ArithmeticError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def ticker_put(*, venue: str, quotes: Iterable[Quote], now: datetime | None = None) -> None:
    """Store the newest prices of symbols in place of the older ones.

    Prices, mark, funding and open interest each have a time; what is older than what is stored is dropped. A quote
    without open interest leaves the stored one. One that no column can hold is left out and logged: its symbol grows old
    and holds, the others go on. A stored time later than `now` (market time) was a mistake of the
    venue and is replaced by anything.
    """
    rows = [
        Ticker(venue=venue, symbol=quote.symbol, **{name: getattr(quote, name) for name in PRICES})
        for quote in sorted(quotes, key=lambda quote: quote.symbol)
    ]
    rows = [row for row in rows if _storable(row)]
    latest = FAR if now is None else now + SLACK
    updates = _ticker_updates(Ticker._meta.get_field("at").get_db_prep_value(latest, connection))
    upsert(Ticker, rows, key=["venue", "symbol"], updates=updates)
    if rows:
        publish_market_on_commit(market=venue, kind="prices", data={"symbols": [row.symbol for row in rows]})


def funding_put(*, venue: str, settlements: Mapping[str, Sequence[FundingSettlement]]) -> None:
    """Store settlements by symbol. One that has settled stays as it is; one that was only expected is replaced."""
    _put_funding(venue, [(symbol, one) for symbol, several in settlements.items() for one in several])


def funding_expect(*, venue: str, expected: Mapping[str, FundingSettlement]) -> None:
    """Store the next settlement of each symbol as the venue expects it, so that its row is there when it is due.

    What was expected for another moment that is still to come goes: the venue has changed its interval. Nothing that
    is due is touched, nor what is due within a minute: by the venue's clock it may have been.
    """
    rows = [(symbol, _expected(one)) for symbol, one in expected.items()]
    if not rows:
        return
    others = Q()
    for symbol, one in rows:
        others |= Q(symbol=symbol) & ~Q(at=one.at)
    soon = market_clock(venue).now() + SLACK
    with transaction.atomic():
        FundingRate.objects.filter(others, venue=venue, settled=False, at__gt=soon).delete()
        _put_funding(venue, rows)


def open_interest_put(
    *, venue: str, interests: Mapping[str, Interest | None], every: timedelta = INTEREST_EVERY
) -> None:
    """Store open interest by symbol: the newest with the prices, a row of history once in `every`.

    None stands for a venue that does not tell it: nothing is known of the symbol's then.
    """
    told = {symbol: interest for symbol, interest in interests.items() if interest is not None}
    tickers = Ticker.objects.filter(venue=venue)
    with transaction.atomic():
        tickers.filter(symbol__in=interests.keys() - told.keys()).update(open_interest=None, open_interest_at=None)
        for symbol, one in sorted(told.items()):
            newer = Q(open_interest_at__isnull=True) | Q(open_interest_at__lt=one.at)
            tickers.filter(newer, symbol=symbol).update(open_interest=_fitting(one.value), open_interest_at=one.at)
        rows = _due_interests(venue, told, every)
        OpenInterest.objects.bulk_create(rows, ignore_conflicts=True)


def _storable(row: Ticker) -> bool:
    try:
        for column in Ticker._meta.concrete_fields:
            value = getattr(row, column.attname)
            column.get_db_prep_save(value, connection)
            if (
                isinstance(value, Decimal) and not abs(value) < TOO_LARGE
            ):  # SQLite would keep it, and nobody read it again
                raise ValueError(f"{column.name} {value} is no price")
    except (ArithmeticError, ValueError, ValidationError) as fault:
        log.warning("the prices of %s at %s cannot be stored: %s", row.symbol, row.venue, fault)
        return False
    return True


def _ticker_updates(latest: Any) -> dict[str, str]:
    """Return for each column of a ticker what it becomes. `latest` is the last moment that can be true.

    A time that is not given is that of the prices; where the prices change hands and it does not, it is written out.
    """
    prices = _newer("at", latest)
    updates = {"at": _chosen(prices, "excluded.at", "stored.at")}
    for time, columns in INPUTS.items():
        newer = _newer(time, latest)
        updates |= {name: _chosen(newer, f"excluded.{name}", f"stored.{name}") for name in columns}
        if time != "at":
            came = _chosen(prices, f"excluded.{time}", _moment("excluded", time))
            kept = _chosen(f"{prices} AND stored.{columns[0]} IS NOT NULL", _moment("stored", time), f"stored.{time}")
            updates[time] = _chosen(newer, came, kept)
    return updates


def _newer(time: str, latest: Any) -> str:
    """Return the SQL that says whether this input of the quote that came replaces the stored one."""
    came, known = _moment("excluded", time), _moment("stored", time)
    newer = f"({came} >= {known} OR {known} > '{latest}')"
    if time != "open_interest_at":
        return newer
    return f"(excluded.open_interest IS NOT NULL AND (stored.open_interest IS NULL OR {newer}))"


def _moment(row: str, time: str) -> str:
    """Return the SQL of an input's time: without one of its own it is as old as the prices."""
    return f"{row}.at" if time == "at" else f"COALESCE({row}.{time}, {row}.at)"


def _chosen(condition: str, then: str, otherwise: str) -> str:
    return f"CASE WHEN {condition} THEN {then} ELSE {otherwise} END"


def _put_funding(venue: str, settlements: Iterable[tuple[str, FundingSettlement]]) -> None:
    rows = (
        FundingRate(venue=venue, symbol=symbol, at=one.at, rate=one.rate, mark=one.mark, settled=one.settled)
        for symbol, one in settlements
    )
    updates = {name: f"excluded.{name}" for name in ("rate", "mark", "settled")}
    upsert(FundingRate, rows, key=["venue", "symbol", "at"], updates=updates, where="NOT stored.settled")


def _expected(one: FundingSettlement) -> FundingSettlement:
    """Return what is expected at the full second: a stamp that misses it by some ms would be a settlement of its own."""
    at = (one.at + timedelta(seconds=0.5)).replace(microsecond=0)
    return FundingSettlement(at, one.rate, one.mark, settled=False)


def _due_interests(venue: str, told: Mapping[str, Interest], every: timedelta) -> list[OpenInterest]:
    if not told:
        return []
    since = min(one.at for one in told.values()) - every
    stored = OpenInterest.objects.filter(venue=venue, symbol__in=told, at__gt=since)
    newest = dict(stored.values_list("symbol").annotate(Max("at")))
    return [
        OpenInterest(venue=venue, symbol=symbol, at=one.at, value=_fitting(one.value))
        for symbol, one in sorted(told.items())
        if symbol not in newest or one.at - newest[symbol] >= every
    ]


def _fitting(value: Decimal) -> Decimal:
    return FIFTEEN_DIGITS.plus(value)


def _instrument(spec: InstrumentSpec, *, followed: bool) -> Instrument:
    values: dict[str, Any] = asdict(spec)
    brackets = [{name: str(value) for name, value in step.items()} for step in values.pop("brackets")]
    return Instrument(**values, brackets=brackets, followed=followed, updated=timezone.now())
