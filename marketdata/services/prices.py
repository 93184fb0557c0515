"""Writers of contracts, newest prices, settled funding and snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from django.utils import timezone

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate, Instrument, Snapshot, Ticker

PRICES: Final = [field.name for field in fields(Quote) if field.name != "symbol"]


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


def snapshot_store(snapshot: MarketSnapshot) -> dict[str, Any]:
    """Store what is known of each symbol, once, and return what a cycle keeps of it: by symbol, with the digest."""
    rows = [
        Snapshot(
            venue=snapshot.venue,
            symbol=symbol,
            at=view.quote.at,
            digest=view.digest or snapshot.digest,
            values=dict(snapshot.summary.get(symbol, {})),
        )
        for symbol, view in snapshot.symbols.items()
    ]
    Snapshot.objects.bulk_create(rows, ignore_conflicts=True)
    return {row.symbol: {**row.values, "digest": row.digest, "at": row.at.isoformat()} for row in rows}


def _instrument(spec: InstrumentSpec) -> Instrument:
    values: dict[str, Any] = asdict(spec)
    brackets = [{name: str(value) for name, value in step.items()} for step in values.pop("brackets")]
    return Instrument(**values, brackets=brackets, updated=timezone.now())
