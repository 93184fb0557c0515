"""How the installation runs, for the page of operations: staff reads all of it, others what concerns their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, Backup, Bot, Job, User
from accounts.selectors import Person, accounts_seen_by, open_alerts
from decisions.models import Cycle
from marketdata.models import Feed, VenueBudget
from marketdata.selectors.day_of_candles import DayOfCandles, days_of_candles
from trading.models import Position, Reconciliation
from trading.selectors.guard import GuardView, guard_from
from trading.selectors.installation import Installation, installation
from trading.selectors.market import MarketView, view_of
from trading.selectors.schedules import ScheduleLine, schedule_lines
from trading.selectors.system import Light, lights_of, system_known, with_looks
from vibex.lib.logreading import Tail, Wanted, log_tail

MAY_READ_LOG: Final = "accounts.read_logs"
JOBS: Final = 12
LINES: Final = 10
LOG_PATIENCE: Final = 0.05
"""Seconds that the page waits for lines of the log; the log's own page waits longer."""
MOST: Final = 40
"""Rows of one table on the page, those first that want somebody."""
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AccountLine:
    """How an account was looked after and compared last."""

    account: Account
    guard: GuardView
    compared: datetime | None
    agreed: bool
    left: int
    """Differences that need a person."""
    trigger: str


@dataclass(frozen=True, slots=True)
class BotLine:
    """The last run of a bot."""

    bot: Bot
    cycle_id: int | None
    status: str
    began: datetime | None
    error: str
    schedule: ScheduleLine | None

    @property
    def late(self) -> bool:
        return self.schedule is not None and self.schedule.late

    @property
    def failed(self) -> bool:
        return self.status in (Cycle.Status.FAILED, Cycle.Status.ABANDONED)


@dataclass(frozen=True, slots=True)
class FeedLine:
    feed: Feed
    market: MarketView
    age: timedelta | None
    """Since its last write."""


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """The request weight of a host in this minute."""

    host: str
    used: int
    limit: int
    until: datetime | None
    """When it is asked again; None while nothing holds back."""
    why: str


@dataclass(frozen=True, slots=True)
class Backups:
    """The newest backup that was made, and why the one that was tried last could not be."""

    hourly: bool
    newest: Backup | None
    problem: str


@dataclass(frozen=True, slots=True)
class Operations:
    """All that the page shows. What is None is not for this person, or there is none."""

    now: datetime
    whole: bool
    """Whether accounts of others are among it."""
    lights: Sequence[Light]
    accounts: Sequence[AccountLine]
    bots: Sequence[BotLine]
    schedules: Sequence[ScheduleLine]
    """Those that belong to no bot."""
    jobs: Sequence[Job]
    feeds: Sequence[FeedLine]
    candles: Sequence[DayOfCandles]
    budgets: Sequence[BudgetLine] | None
    installation: Installation | None
    backups: Backups | None
    log: Tail | None
    unseen: int | None
    """Alerts that the person has not acknowledged, where that was counted along the way."""
    listens: list[int]
    """Keys of the person's own accounts."""

    @property
    def gaps(self) -> list[DayOfCandles]:
        return [line for line in self.candles if line.missing]


def operations_of(person: Person, *, now: datetime) -> Operations:
    """Return what the page of operations shows to a person, at the wall time `now`. Seven queries at most."""
    staff = isinstance(person, User) and person.is_staff
    seen = accounts_seen_by(person)
    rows = _open(_compared(with_looks(seen))).select_related("owner")
    rows = _unseen(rows, person)
    accounts = list((_backed_up(rows) if staff else rows).order_by("pk"))
    bots = list(_with_last_run(Bot.objects.filter(account__in=seen).select_related("account"))) if accounts else []
    known = system_known(person, now=now)
    feeds = [feed for feed in known.feeds.values() if staff or feed.venue in {each.market for each in accounts}]
    schedules = schedule_lines(bots, system=staff, now=now)
    of_bots = {line.bot.pk: line for line in schedules if line.bot}
    return Operations(
        now=now,
        whole=any(each.owner_id != person.pk for each in accounts),
        lights=lights_of(known, accounts, bots, [one.pk for one in accounts if vars(one)["holds"]], now=now),
        accounts=sorted((_account_line(each, now) for each in accounts), key=_calm),
        bots=sorted(
            (_bot_line(each, of_bots.get(each.pk)) for each in bots), key=lambda line: (not line.late, not line.failed)
        ),
        schedules=[line for line in schedules if line.bot is None],
        jobs=list(_jobs(person, staff=staff)[:JOBS]),
        feeds=[FeedLine(feed, view_of(feed, feed.venue), _age(feed.heartbeat, now)) for feed in feeds],
        candles=days_of_candles(feed for feed in feeds if feed.running),
        budgets=_budgets(now) if staff else None,
        installation=installation() if staff else None,
        backups=_backups(accounts) if staff else None,
        log=log_of(person, Wanted(level="warning", limit=LINES), patience=LOG_PATIENCE),
        unseen=cast("Any", accounts[0]).unseen if accounts else None,
        listens=[each.pk for each in accounts if each.owner_id == person.pk],
    )


def log_of(person: Person, wanted: Wanted, **how: Any) -> Tail | None:
    """Return the newest lines of the log that fit; None for who may not read it."""
    if not (isinstance(person, User) and person.is_staff and person.has_perm(MAY_READ_LOG)):
        return None
    return log_tail(Path(settings.VIBEX_LOG_DIR), wanted, **how)


def _backed_up(rows: Any) -> Any:
    """Add the newest backup and the newest that failed: a query less."""
    told = JSONObject(
        at="at", bytes="bytes", place="place", encrypted="encrypted", verified="verified", problem="problem"
    )
    newest = {
        name: Backup.objects.filter(well=well).order_by("-at") for name, well in (("made", True), ("failed", False))
    }
    return rows.annotate(**{f"backup_{name}": Subquery(each.values(told=told)[:1]) for name, each in newest.items()})


def _backups(rows: Sequence[Any]) -> Backups:
    """Return how backups go, as one of the rows has it; without any they are asked for."""
    row = rows[0] if rows else _backed_up(PeriodicTask.objects.all()).first()
    made, failed = (_backup(getattr(row, f"backup_{name}", None)) for name in ("made", "failed"))
    behind = failed is not None and (made is None or failed.at > made.at)
    return Backups(settings.BACKUP_HOURLY, made, failed.problem if failed and behind else "")


def _backup(told: dict[str, Any] | None) -> Backup | None:
    if told is None:
        return None
    verified = told["verified"] and _moment(told["verified"])
    return Backup(**{**told, "at": _moment(told["at"]), "verified": verified, "encrypted": bool(told["encrypted"])})


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _compared(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Add the last comparison with the exchange. By key, not by time: there is an index for it."""
    last = Reconciliation.objects.filter(account=OuterRef("pk")).order_by("-pk")
    wanted = ("at", "agreed", "left", "trigger")
    return accounts.annotate(**{f"compared_{name}": Subquery(last.values(name)[:1]) for name in wanted})


def _open(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Add whether positions are open: then guard, data and venue matter also where no bot runs."""
    return accounts.annotate(holds=Exists(Position.objects.filter(account=OuterRef("pk"), closed__isnull=True)))


def _unseen(accounts: QuerySet[Account], person: Person) -> QuerySet[Account]:
    """Add how many alerts the person has not acknowledged: a query less."""
    count = open_alerts(person).order_by().values("user").annotate(n=Count("pk")).values("n")
    return accounts.annotate(unseen=Coalesce(Subquery(count), 0))


def _with_last_run(bots: QuerySet[Bot]) -> QuerySet[Bot]:
    last = Cycle.objects.filter(bot=OuterRef("pk")).order_by("-scheduled_for")
    wanted = ("pk", "status", "began", "error")
    return bots.annotate(**{f"last_{name}": Subquery(last.values(name)[:1]) for name in wanted}).order_by("pk")


def _account_line(account: Any, now: datetime) -> AccountLine:
    guard = guard_from(getattr(account, "guard", None), now=now)
    left = len(account.compared_left or ())
    return AccountLine(
        account, guard, account.compared_at, bool(account.compared_agreed), left, account.compared_trigger or ""
    )


def _calm(line: AccountLine) -> tuple[bool, bool]:
    """Order accounts: those first whose books differ, or that nobody looks after."""
    return not (line.compared and not line.agreed), not (line.guard.late or not line.guard.well)


def _bot_line(bot: Any, schedule: ScheduleLine | None) -> BotLine:
    return BotLine(bot, bot.last_pk, bot.last_status or "", bot.last_began, bot.last_error or "", schedule)


def _jobs(person: Person, *, staff: bool) -> QuerySet[Job]:
    """Return what was asked for, newest first: one's own, and of others for who may see their accounts."""
    # By key: by time there is an index for one owner only.
    jobs = Job.objects.select_related("owner", "account", "bot").order_by("-pk")
    whole = staff and cast("User", person).has_perm("accounts.view_any")
    return jobs if whole else jobs.filter(owner_id=person.pk)


def _budgets(now: datetime) -> list[BudgetLine]:
    return [_budget(row, now) for row in VenueBudget.objects.order_by("host")]


def _budget(row: VenueBudget, now: datetime) -> BudgetLine:
    used = row.used if now - row.minute < MINUTE else 0
    held = [
        (until, why or "no reason was kept")
        for until, why in ((row.told_until, row.told_reason), (row.blocked_until, row.reason))
        if until and until > now
    ]
    until, why = max(held) if held else (None, "")
    return BudgetLine(row.host, used, row.limit, until, why)


def _age(at: datetime | None, now: datetime) -> timedelta | None:
    return None if at is None else now - at
