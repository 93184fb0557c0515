"""What goes after its time, over all apps: rules for some tables, and for every other one the reason why it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.services.retention import RULES as OF_ACCOUNTS
from decisions.services.retention import RULES as OF_DECISIONS
from marketdata.services.retention import RULES as OF_MARKETDATA
from trading.domain.thinning import Point, quarter_of, superfluous
from trading.models import Claim, EquityPoint, Lock, PerformanceState, Reconciliation
from vibex.lib.retention import Pruned, Rule, days_before, deleting, rules_carried_out

log = logging.getLogger(__name__)

LONGEST_RUN: Final = 600.0
"""Seconds: what is left then goes with the next run, a day later."""
DAY: Final = timedelta(days=1)


def _comparisons() -> QuerySet[Any]:
    newer = Reconciliation.objects.filter(account=OuterRef("account"), pk__gt=OuterRef("pk"))
    return Reconciliation.objects.filter(
        Exists(newer), agreed=True, mended=[], at__lt=days_before("CHECK_RETENTION_DAYS")
    )


def _locks() -> QuerySet[Any]:
    before = days_before("CHECK_RETENTION_DAYS")
    return Lock.objects.filter(Q(lifted__lt=before) | Q(until__lt=before))


def _claims() -> QuerySet[Any]:
    return Claim.objects.filter(until__lt=timezone.now() - DAY)


def _thin() -> Iterator[int]:
    """Thin the curves, a day of an account in each transaction. Two at once do no harm: the day is thinned once."""
    for state, until, keys in _thinnings():
        with transaction.atomic():
            mine = PerformanceState.objects.filter(pk=state.pk, thinned_until=state.thinned_until)
            if mine.update(thinned_until=until):
                EquityPoint.objects.filter(pk__in=keys).delete()
        state.thinned_until = until
        yield len(keys)


def _thinnings() -> Iterator[tuple[PerformanceState, datetime, list[int]]]:
    """Yield stretch by stretch, of every account: its state, where the stretch ends, and the keys that can go."""
    for state in PerformanceState.objects.order_by("pk"):
        if state.equity_until is None:
            continue
        # By the market's time, and nothing that is not summed up yet.
        limit = quarter_of(state.equity_until - timedelta(days=settings.EQUITY_POINT_DAYS))
        since = state.thinned_until
        while (first := _first_point(state.account_id, since, limit)) is not None:
            until = min(quarter_of(first) + DAY, limit)
            yield state, until, superfluous(_points(state.account_id, first, until))
            since = until


def _first_point(account_id: int, since: datetime | None, limit: datetime) -> datetime | None:
    rows = EquityPoint.objects.filter(account=account_id, at__lt=limit)
    rows = rows if since is None else rows.filter(at__gte=since)
    return rows.order_by("at").values_list("at", flat=True).first()


def _points(account_id: int, first: datetime, until: datetime) -> Iterator[Point]:
    rows = EquityPoint.objects.filter(account=account_id, at__gte=first, at__lt=until).order_by("at")
    return (Point(*row) for row in rows.values_list("pk", "at", "equity", "transfers").iterator(chunk_size=3_000))


RULES: Final = (
    deleting("trading.Claim", "claims on a symbol that ran out", "a day", _claims),
    deleting("trading.Lock", "locks that were lifted or have expired", "CHECK_RETENTION_DAYS", _locks),
    deleting(
        "trading.Reconciliation",
        "comparisons with an exchange that found nothing, but the newest",
        "CHECK_RETENTION_DAYS",
        _comparisons,
    ),
    Rule(
        "trading.EquityPoint",
        "equity points that no figure needs",
        "EQUITY_POINT_DAYS",
        lambda: sum(len(keys) for _, _, keys in _thinnings()),
        _thin,
    ),
)
ALL_RULES: Final = (*OF_ACCOUNTS, *OF_DECISIONS, *RULES, *OF_MARKETDATA)

HISTORY: Final = "what was decided, sent, filled and booked: history is never deleted"
STATE: Final = "one row for each thing that is there now"
KEPT: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "trading.Order", "trading.OrderEvent", "trading.Fill", "trading.Position", "trading.IncomeEntry",
            "trading.Halt", "decisions.Cycle", "decisions.Decision", "decisions.Approval", "decisions.Afterwards",
            "decisions.DiaryEntry", "decisions.PromptTemplate", "accounts.Incident", "accounts.LiveApproval",
            "accounts.AuditEntry", "admin.LogEntry",
        ),
        HISTORY,
    ),
    **dict.fromkeys(
        ("trading.PaperAccount", "trading.PaperPosition", "trading.PaperOrder", "trading.PaperTrade", "trading.PaperIncome"),
        "the paper venue's own record: books are compared with it",
    ),
    **dict.fromkeys(
        ("trading.PerformanceDay", "trading.EquityHour", "marketdata.FundingRate"),
        "few rows, and every result is made of them",
    ),
    **dict.fromkeys(
        (
            "accounts.User", "accounts.User_groups", "accounts.User_user_permissions", "accounts.Account",
            "accounts.Credentials", "accounts.Bot", "accounts.RiskLimits", "accounts.SecondFactor",
            "accounts.AlertChannel", "trading.AccountTerms", "trading.UserStreamState", "trading.PerformanceState",
            "trading.LossWatch", "trading.GuardState", "marketdata.Feed", "marketdata.Instrument", "marketdata.Ticker",
            "marketdata.VenueBudget", "decisions.Provider", "decisions.CatalogueModel", "decisions.CatalogueRead",
            "decisions.LearnedFormat", "auth.Permission", "auth.Group", "auth.Group_permissions",
            "contenttypes.ContentType", "django_celery_beat.SolarSchedule", "django_celery_beat.IntervalSchedule",
            "django_celery_beat.ClockedSchedule", "django_celery_beat.CrontabSchedule",
            "django_celery_beat.PeriodicTasks", "django_celery_beat.PeriodicTask",
        ),
        STATE,
    ),
    "accounts.Job": "its own sweep forgets what has been over for 30 days",
    "accounts.AlertDelivery": "goes with its alert",
    "token_blacklist.BlacklistedToken": "goes with its token",
    "marketdata.SignerNonce": "a number that was used must never be used again",
}  # fmt: skip
"""Every table without a rule, and why it has none. A test holds both lists against the tables that there are."""


def prune() -> list[Pruned]:
    """Let go what is due, for at most ten minutes. Can be stopped at any point, and run twice at once."""
    done: list[Pruned] = []
    try:
        done.extend(rules_carried_out(ALL_RULES, seconds=LONGEST_RUN))
    finally:
        told = {one.rule.table: one.rows for one in done if one.rows}
        log.info("what was kept long enough is gone", extra={"rows": told, "ended": all(one.ended for one in done)})
    return done
