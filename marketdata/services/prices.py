"""Writers of contracts, newest prices, settled funding and snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from django.utils import timezone

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate, Instrument, Snapshot, Ticker

PRICES: Final = ["at", "last", "bid", "ask", "mark", "funding_rate", "next_funding_at", "open_interest"]


def instruments_upsert(*, specs: Iterable[InstrumentSpec]) -> None:
    """Store the rules of contracts; known ones are brought up to date."""
    rows = [_instrument(spec) for spec in specs]
    names = [field.name for field in Instrument._meta.concrete_fields]
    changing = [name for name in names if name not in ("id", "venue", "symbol")]
    Instrument.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["venue", "symbol"], update_fields=changing
    )


def ticker_put(*, venue: str, quotes: Iterable[Quote]) -> None:
    """Store the newest prices of symbols in place of the older ones."""
    rows = [
        Ticker(venue=venue, symbol=quote.symbol, **{name: getattr(quote, name) for name in PRICES}) for quote in quotes
    ]
    Ticker.objects.bulk_create(rows, update_conflicts=True, unique_fields=["venue", "symbol"], update_fields=PRICES)


def funding_put(*, venue: str, settlements: Mapping[str, Sequence[FundingSettlement]]) -> None:
    """Store settled rates by symbol. One that is stored already stays as it is."""
    rows = [
        FundingRate(venue=venue, symbol=symbol, at=settled.at, rate=settled.rate, mark=settled.mark)
        for symbol, several in settlements.items()
        for settled in several
    ]
    FundingRate.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1_000)


def snapshot_store(snapshot: MarketSnapshot) -> Snapshot:
    """Return the row of a snapshot, made when nobody has stored the same one before."""
    row, _ = Snapshot.objects.get_or_create(
        venue=snapshot.venue,
        at=snapshot.at,
        digest=snapshot.digest,
        defaults={"summary": dict(snapshot.summary)},
    )
    return row


def _instrument(spec: InstrumentSpec) -> Instrument:
    values: dict[str, Any] = asdict(spec)
    brackets = [{name: str(value) for name, value in step.items()} for step in values.pop("brackets")]
    return Instrument(**values, brackets=brackets, updated=timezone.now())
