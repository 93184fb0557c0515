"""Writers of what is followed at a live venue: its contracts, and the symbols whose prices are kept current."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.utils import timezone

from marketdata.domain.instruments import CRYPTO, InstrumentSpec
from marketdata.models import Feed, Instrument
from marketdata.services.prices import instruments_upsert, unstorable
from marketdata.venues.public import PublicVenue
from vibex.lib.errors import Rejected

NOTE_LENGTH: Final = 300

log = logging.getLogger(__name__)


def feed_live_put(*, venue: str, source: str, note: str | None = None) -> Feed:
    """Return the feed of a live venue, made when there is none. Its note stays when none is given.

    Raises Rejected when the stored candles of that venue came from somewhere else: prices of two markets never mix.
    """
    known = Feed.objects.filter(venue=venue).first()
    if known is None:
        return Feed.objects.create(
            venue=venue, kind=Feed.Kind.LIVE, source=source, market_at=timezone.now(), note=(note or "")[:NOTE_LENGTH]
        )
    if (known.kind, known.source) != (Feed.Kind.LIVE, source):
        where = known.source if known.kind == Feed.Kind.LIVE else known.get_kind_display()
        raise Rejected(
            f"{venue} of this data folder has prices of {where}, and those of {source} must not mix with them. "
            "Use another data folder (VIBEX_DATA_DIR) or another database.",
            code="market_taken",
        )
    if note is not None:
        feed_note(venue=venue, note=note)
    return known


def feed_note(*, venue: str, note: str) -> None:
    """Say on the page why this market runs and not another one."""
    Feed.objects.filter(venue=venue).update(note=note[:NOTE_LENGTH])


def contracts_refresh(*, port: PublicVenue) -> int:
    """Read the rules of all contracts and store them; return how many there are.

    Perpetuals on stocks, metals and the like stay out unless TRADITIONAL_PERPS says otherwise, or somebody has taken one
    in by its name. A contract that the venue does not list any more is kept and marked as closed; one that the tables
    cannot keep is left out, and left as it was.
    """
    listed = port.instruments()
    known = set(Instrument.objects.filter(venue=port.venue).values_list("symbol", flat=True))
    specs = [
        spec for spec in listed if spec.asset_class == CRYPTO or settings.TRADITIONAL_PERPS or spec.symbol in known
    ]
    specs = [spec for spec in specs if _storable(spec)]
    if not specs:
        raise Rejected(f"{port.venue} lists no contract that may be traded here", code="no_contracts")
    instruments_upsert(specs=specs, public=True, followed=False)
    gone = Instrument.objects.filter(venue=port.venue).exclude(symbol__in=[spec.symbol for spec in listed])
    gone.exclude(status="CLOSE").update(status="CLOSE", updated=timezone.now())
    return len(specs)


def _storable(spec: InstrumentSpec) -> bool:
    why = unstorable(spec)
    if why:
        log.warning("the contract %s of %s is left out: %s", spec.symbol, spec.venue, why)
    return not why


def symbols_follow(*, venue: str, symbols: Iterable[str]) -> list[str]:
    """Keep the candles and prices of these contracts current from now on; return those that were not yet followed.

    What is followed stays so: something may be open on it.
    """
    rows = Instrument.objects.filter(venue=venue, symbol__in=list(symbols), followed=False)
    new = sorted(rows.values_list("symbol", flat=True))
    Instrument.objects.filter(venue=venue, symbol__in=new).update(followed=True)
    return new
