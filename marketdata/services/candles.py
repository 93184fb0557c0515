"""Writers of candles. What cannot be true is put aside with an incident and never stored beside the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.utils import timezone

from accounts.services import incident_open
from marketdata import database_market
from marketdata.domain.candles import Candles
from marketdata.domain.quality import Fault, faults, without
from marketdata.domain.recording import Quarantined
from marketdata.models import Candle, QuarantinedCandle
from marketdata.services.candle_table import VALUE_NAMES, candles_write
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.events import publish_market_on_commit

BATCH: Final = 20_000
"""Rows of one transaction: a kill loses at most so many, and the next start writes them."""


def candles_upsert(*, venue: str, candles: Candles | Iterable[Candles], closed: bool) -> int:
    """Store candles, of one series or of several at once, and return how many rows are new or changed.

    A stored candle is corrected by a later one; where both are closed, a CandleCorrection keeps what was there. A
    closed candle never becomes forming again: a forming one that comes too late is dropped. Impossible candles are
    quarantined with an incident, and count as mended once a possible closed one comes. Batches are committed one
    after the other, each series oldest first, so a kill leaves no hole. No candle may be given twice.
    """
    several = [candles] if isinstance(candles, Candles) else list(candles)
    stored = sum(_put(venue, batch, closed=closed) for batch in _batches([_sound(venue, one) for one in several]))
    if closed:
        transaction.on_commit(partial(_tell, several))
    if stored:
        symbols = sorted({candles.symbol for candles in several})
        publish_market_on_commit(market=venue, kind="candles", data={"symbols": symbols})
    return stored


def candles_quarantine(*, venue: str, quarantined: Iterable[Quarantined]) -> None:
    """Put impossible candles aside, each once, and open one incident per candle. A forming row of it is removed."""
    for candle in quarantined:
        with transaction.atomic():
            key: dict[str, Any] = {
                "venue": venue,
                "symbol": candle.symbol,
                "interval": candle.interval,
                "open_time": from_ms(candle.open_time),
            }
            values = {"values": candle.values, "reason": candle.reason[:200], "seen": timezone.now()}
            _, new = QuarantinedCandle.objects.update_or_create(**key, defaults=values)
            Candle.objects.filter(**key, closed=False).delete()
            if new:
                text = f"{venue} {candle.symbol} {candle.interval} at {key['open_time']:%F %H:%M} UTC: {candle.reason}"
                incident_open(account=None, kind="impossible-candle", text=text, severity="warning", data=candle.values)


def _sound(venue: str, candles: Candles) -> Candles:
    """Put the impossible ones aside and return the others."""
    broken = faults(candles)
    candles_quarantine(venue=venue, quarantined=[_quarantined(candles, fault) for fault in broken])
    return without(candles, broken)


def _batches(several: Iterable[Candles]) -> Iterator[list[Candles]]:
    """Cut long series, and put short ones together, to at most BATCH rows."""
    batch: list[Candles] = []
    for candles in several:
        for start in range(0, len(candles), BATCH):
            piece = candles.slice(start, min(start + BATCH, len(candles)))
            if sum(map(len, batch)) + len(piece) > BATCH:
                yield batch
                batch = []
            batch.append(piece)
    if batch:
        yield batch


def _put(venue: str, batch: Sequence[Candles], *, closed: bool) -> int:
    """Write one batch in one transaction and return how many rows are new or changed."""
    with transaction.atomic(savepoint=False):
        changed = candles_write(venue, batch, closed=closed)
        if closed:
            _mend(venue, batch)
    return changed


def _mend(venue: str, batch: Sequence[Candles]) -> None:
    """Note of quarantined candles that a possible closed one has come for them."""
    came = {(candles.symbol, candles.interval): candles.open_time for candles in batch}
    aside = QuarantinedCandle.objects.filter(
        venue=venue,
        symbol__in={symbol for symbol, _ in came},
        open_time__gte=from_ms(min(int(times[0]) for times in came.values())),
        open_time__lte=from_ms(max(int(times[-1]) for times in came.values())),
        mended=None,
    )
    mended = [row.pk for row in aside if to_ms(row.open_time) in came.get((row.symbol, row.interval), ())]
    if mended:
        QuarantinedCandle.objects.filter(pk__in=mended).update(mended=timezone.now())


def _tell(several: Iterable[Candles]) -> None:
    """Let the readers of this process know what may have changed behind them."""
    for candles in several:
        database_market.STORE.touch(candles)


def _quarantined(candles: Candles, fault: Fault) -> Quarantined:
    values = {name: float(getattr(candles, name)[fault.index]) for name in VALUE_NAMES}
    known = {name: value if np.isfinite(value) else None for name, value in values.items()}
    return Quarantined(candles.symbol, candles.interval, fault.open_time, known, fault.reason)
