"""A pass of the guard over all accounts in play: who is in doubt is named, all others are written down in bulk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import DatabaseError, transaction
from django.utils import timezone

from trading.domain.screen import Screened, screen
from trading.models import EquityPoint, LossWatch
from trading.services.guard_state import accounts_fine, in_play_note
from trading.services.schedule import accounts_in_play
from trading.services.screening import Equity, Reading, readings, watch_on
from vibex.lib.events import publish_to_many_on_commit

log = logging.getLogger(__name__)

EQUITY: Final = ["wallet", "unrealised", "equity", "transfers"]
WATCH: Final = ["at", "zone", "day_ends", "day_equity", "day_transfers", "equity", "transfers", "unit", "peak"]

type Doubts = dict[int, tuple[str, ...]]
"""Why accounts have to be looked at, by account id."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass found: the accounts in doubt, and those that are fine."""

    doubts: Doubts = field(default_factory=dict)
    fine: tuple[int, ...] = ()
    seconds: float = 0.0


def guard_pass() -> Passed:
    """Screen every account in play, and write down those that are fine. What cannot be screened is in doubt."""
    began, now = time.perf_counter(), timezone.now()
    ids = accounts_in_play()
    try:
        in_play_note(account_ids=ids, now=now)
        read = readings(ids, now=now)
        screened = {one.account.pk: _screened(one, now) for one in read}
    except Exception as bug:
        log.exception("no account could be screened: each is looked at by itself")
        broken: Doubts = dict.fromkeys(ids, (f"the pass broke off ({type(bug).__name__})",))
        return Passed(broken, seconds=time.perf_counter() - began)
    doubts: Doubts = {pk: found.doubts for pk, found in screened.items() if found.doubts}
    fine = [one for one in read if one.account.pk not in doubts]
    doubts |= _keep(fine, screened, now=now, began=began)
    for account_id, texts in doubts.items():
        log.info("account %s is in doubt: %s", account_id, "; ".join(texts))
    kept = tuple(one.account.pk for one in fine if one.account.pk not in doubts)
    return Passed(doubts, kept, time.perf_counter() - began)


def _screened(reading: Reading, now: datetime) -> Screened:
    try:
        return screen(reading.known, account_id=reading.account.pk, now=now)
    except Exception as bug:  # what is wrong with one account hides no other
        log.exception("account %s could not be screened", reading.account.pk)
        return Screened(doubts=(f"it could not be screened ({type(bug).__name__})",))


def _keep(fine: Sequence[Reading], screened: dict[int, Screened], *, now: datetime, began: float) -> Doubts:
    """Write down accounts that are fine. Returns those for which that failed: it keeps no other from being written."""
    try:
        _write(fine, screened, now=now, began=began)
        return {}
    except (ArithmeticError, ValueError, DatabaseError) as fault:
        if len(fine) == 1:
            return {fine[0].account.pk: (f"its equity could not be written: {fault}",)}
    failed: Doubts = {}
    for one in fine:
        failed |= _keep([one], screened, now=now, began=began)
    return failed


def _write(fine: Sequence[Reading], screened: dict[int, Screened], *, now: datetime, began: float) -> None:
    equities = {one.account.pk: one.equity for one in fine if one.equity is not None}
    _points_add(equities)
    _watches_carry(equities, {one.account.pk: one.account.time_zone for one in fine if one.known.watch is not None})
    with transaction.atomic():
        texts = {one.account.pk: _busy(screened[one.account.pk]) for one in fine}
        accounts_fine(texts=texts, now=now, seconds=round(time.perf_counter() - began, 3))
        publish_to_many_on_commit(account_ids=list(texts), kind="equity")


def _points_add(equities: dict[int, Equity]) -> None:
    points = [
        EquityPoint(
            account_id=account_id,
            at=one.at,
            wallet=one.wallet,
            unrealised=one.unrealised,
            equity=one.total,
            transfers=one.transfers,
        )
        for account_id, one in equities.items()
    ]
    EquityPoint.objects.bulk_create(
        points, update_conflicts=True, unique_fields=["account", "at"], update_fields=EQUITY
    )


def _watches_carry(equities: dict[int, Equity], zones: dict[int, str]) -> None:
    """Carry losses on. Each is read again under its lock: meanwhile a person may have let it begin anew."""
    watched = zones.keys() & equities.keys()
    if not watched:
        return
    with transaction.atomic():
        rows = LossWatch.objects.select_for_update().filter(account_id__in=watched).order_by("account_id")
        carried = [
            LossWatch(
                account_id=row.account_id,
                **watch_on(row, equities[row.account_id], zone=zones[row.account_id]).stored(),
            )
            for row in rows
        ]
        LossWatch.objects.bulk_create(carried, update_conflicts=True, unique_fields=["account"], update_fields=WATCH)


def _busy(screened: Screened) -> str:
    return f"somebody is at work on {', '.join(screened.busy)}" if screened.busy else ""
