"""Bots side by side, on the days that all of them have, and how often they asked for the same.

What differs between them besides the model is said in words: otherwise a table of results is a table of luck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import FloatField, Max, Q
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.models import AuditEntry, Bot
from accounts.selectors import Person, bots_of
from decisions.domain.proposal import Action
from decisions.domain.providers import RULES
from decisions.domain.shares import Share
from decisions.models import Decision, PromptTemplate
from marketdata.models import Feed
from trading.domain.performance import ENOUGH, Mean, daily_returns, mean_of
from trading.models import PerformanceDay
from trading.selectors.curve import RANGES
from trading.selectors.leaderboard import OF_DAY, SUMMED, Done, Known, Score, Stored, equity_of, scores_of
from trading.selectors.market import view_of

FEWEST: Final = 2
MOST: Final = 8
AT_FIRST: Final = 4
"""Bots that are compared while nobody chose any."""
DECISIONS: Final = 1_500
"""Newest decisions of each bot that are compared with those of the others."""
SETTINGS: Final = ("prompt_template", "prompt_version", "model")
"""What is a different bot once it is changed."""

type Case = tuple[datetime, str]
"""Close of a candle, and a symbol."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A bot in the arena."""

    bot: Bot
    prompt: str
    """Template and version it sends now; "" for rules."""
    now: datetime
    """Time of its market."""

    @property
    def name(self) -> str:
        return f"{self.bot.name} on {self.bot.account.name}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two bots compared with each other."""

    first: Entrant
    second: Entrant
    actions: Share
    """Equal actions, among the symbols and candles on which both decided."""
    entries: Share
    """Equal entries, among those cases in which at least one of the two wanted to enter."""
    difference: Mean | None
    """Result of a day of the first less that of the second, of equity; None where the days are too few."""


@dataclass(frozen=True, slots=True)
class Arena:
    """What was compared."""

    entrants: tuple[Entrant, ...]
    scores: tuple[Score, ...]
    pairs: tuple[Pair, ...]
    cautions: tuple[str, ...]
    """What differs between them, or is too little, in words."""
    days: tuple[date, ...]
    """Those that all of them have."""

    @property
    def markets(self) -> list[str]:
        return sorted({each.bot.account.market for each in self.entrants})


class _Row(NamedTuple):
    account: int
    bot: int | None
    day: date
    sums: tuple[Any, ...]
    floats: tuple[float | None, ...]


def entrants_of(person: Person) -> list[Entrant]:
    """Return all bots of a person, by kind of money, account and name. Three queries."""
    feeds = {feed.venue: feed for feed in Feed.objects.all()}
    newest = dict(PromptTemplate.objects.values_list("name").annotate(newest=Max("version")).order_by())
    bots = bots_of(person).order_by("account__name", "name", "pk")
    found = [
        Entrant(bot, _prompt(bot, newest), view_of(feeds.get(market := bot.account.market), market).now) for bot in bots
    ]
    return sorted(found, key=lambda each: (not each.bot.account.real, not each.bot.account.live))


def chosen_of(entrants: Sequence[Entrant], keys: Sequence[int], prompt: str = "") -> list[Entrant]:
    """Return the entrants that were chosen; where nobody chose, some that run on one market, with one prompt if asked for."""
    if keys:
        return [each for each in entrants if each.bot.pk in keys][:MOST]
    running = [each for each in entrants if each.bot.status == Bot.Status.RUNNING and prompt in ("", each.prompt)]
    by_market: defaultdict[str, list[Entrant]] = defaultdict(list)
    for each in running:
        by_market[each.bot.account.market].append(each)
    return max(by_market.values(), key=len, default=[])[:AT_FIRST]


def arena_of(entrants: Sequence[Entrant], span: str) -> Arena:
    """Return what became of entrants over the last `span`, a name of RANGES. Three queries, however many they are."""
    rows = list(_rows(entrants, span))
    lived = {each.bot.pk: _days_of(each, rows) for each in entrants}
    common = set.intersection(*map(set, lived.values())) if lived else set()
    compared = {key: [day for day in days if not common or day in common] for key, days in lived.items()}
    scores = _scores(entrants, rows, compared)
    cautions = (*_setups(entrants), *_windows(entrants, lived, common), *_changes(entrants, span), *_shared(scores))
    return Arena(
        entrants=tuple(entrants),
        scores=tuple(scores),
        pairs=tuple(_pairs(entrants, rows, sorted(common), scores, span)),
        cautions=cautions,
        days=tuple(sorted(common)),
    )


# -- figures ----------------------------------------------------------------------------------------------


def _rows(entrants: Sequence[Entrant], span: str) -> Iterator[_Row]:
    """Yield the stored days of the bots and of their accounts. One query."""
    wanted = Q(pk__in=[])
    for each in entrants:
        mine = Q(bot=each.bot) | Q(bot=None, account=each.bot.account)
        since = _since(each, span)
        wanted |= mine & Q(day__gte=since) if since else mine
    floats = [Cast(name, FloatField()) for name in OF_DAY]
    found = PerformanceDay.objects.filter(wanted).order_by("day")
    for account, bot, day, *rest in found.values_list("account_id", "bot_id", "day", *SUMMED, *floats):
        yield _Row(account, bot, day, tuple(rest[: len(SUMMED)]), tuple(rest[len(SUMMED) :]))


def _since(entrant: Entrant, span: str) -> date | None:
    """Return the first day of a span, in the days of the account: its own day and those before it."""

    length = RANGES[span]
    if length is None:
        return None
    today = entrant.now.astimezone(ZoneInfo(entrant.bot.account.time_zone)).date()
    return today - length + timedelta(days=1)


def _days_of(entrant: Entrant, rows: Iterable[_Row]) -> list[date]:
    """Return the days on which a bot lived: from its first one on, as far as the equity of its account is known."""
    mine = [row for row in rows if row.account == entrant.bot.account_id]
    first = min((row.day for row in mine if row.bot == entrant.bot.pk), default=None)
    return [row.day for row in mine if row.bot is None and row.floats[0] is not None and first and row.day >= first]


def _scores(entrants: Sequence[Entrant], rows: Sequence[_Row], compared: Mapping[int, Sequence[date]]) -> list[Score]:
    found = []
    for each in entrants:
        days = set(compared[each.bot.pk])
        mine = [row for row in rows if row.bot == each.bot.pk and row.day in days]
        done = Done(*(sum(column) for column in zip(*(row.sums for row in mine), strict=True)))
        known = Known({each.bot.account_id: _equity(each, rows, days)}, {}, {each.bot.pk: done} if mine else {})
        found += scores_of([each.bot], known)
    return found


def _equity(entrant: Entrant, rows: Iterable[_Row], days: set[date]) -> list[Stored]:
    account = entrant.bot.account_id
    return [
        Stored(account, row.day.isoformat(), *(value or 0.0 for value in row.floats))
        for row in rows
        if row.bot is None and row.account == account and row.day in days
    ]


def _pairs(
    entrants: Sequence[Entrant], rows: Sequence[_Row], common: Sequence[date], scores: Sequence[Score], span: str
) -> Iterator[Pair]:
    asked, days = _asked(entrants, span), set(common)
    returns = {
        each.bot.pk: daily_returns((equity_of(day), day.cost) for day in _equity(each, rows, days)) for each in entrants
    }
    alone = {score.bot.pk for score in scores if score.alone}
    for first, second in combinations(entrants, 2):
        one, other = first.bot.pk, second.bot.pk
        actions, entries = _alike(asked[one], asked[other])
        apart = [a - b for a, b in zip(returns[one], returns[other], strict=True)] if {one, other} <= alone else []
        yield Pair(first, second, actions, entries, mean_of(apart))


def _asked(entrants: Sequence[Entrant], span: str) -> dict[int, dict[Case, str]]:
    """Return the newest actions of each bot in the span by candle and symbol. One query."""
    found: dict[int, dict[Case, str]] = {each.bot.pk: {} for each in entrants}
    parts = []
    for each in entrants:
        length = RANGES[span]
        rows = Decision.objects.filter(bot=each.bot, kind=Decision.Kind.LIVE)
        rows = rows.filter(at__gt=each.now - length) if length else rows
        newest = Decision.objects.filter(pk__in=rows.order_by("-at", "-id").values("pk")[:DECISIONS]).order_by()
        parts.append(newest.values_list("bot_id", "cycle__scheduled_for", "symbol", "action", "sequence"))
    if not parts:
        return found
    told = sorted(parts[0].union(*parts[1:], all=True), key=lambda row: row[4])
    for bot, at, symbol, action, _ in told:
        found[bot][at, symbol] = action  # of a close and the entry after it, what it wants in the end
    return found


def _alike(one: Mapping[Case, str], other: Mapping[Case, str]) -> tuple[Share, Share]:
    cases = [(one[case], other[case]) for case in one.keys() & other.keys()]
    opens = [(a, b) for a, b in cases if Action(a).opens or Action(b).opens]
    return Share(sum(a == b for a, b in cases), len(cases)), Share(sum(a == b for a, b in opens), len(opens))


# -- what has to be said ----------------------------------------------------------------------------------


def _setups(entrants: Sequence[Entrant]) -> Iterator[str]:
    yield from _differing("markets: prices and times are not the same", entrants, lambda each: each.bot.account.market)
    yield from _differing("kinds of money", entrants, lambda each: each.bot.account.badge)
    asking = [each for each in entrants if each.prompt]
    yield from _differing("prompts", asking, lambda each: each.prompt)
    yield from _differing("intervals", entrants, lambda each: each.bot.interval)
    if len({tuple(sorted(each.bot.symbols)) for each in entrants}) > 1:
        yield "They do not trade the same symbols."


def _differing(what: str, entrants: Sequence[Entrant], read: Any) -> Iterator[str]:
    by_value: defaultdict[str, list[str]] = defaultdict(list)
    for each in entrants:
        by_value[read(each)].append(each.bot.name)
    if len(by_value) > 1:
        told = "; ".join(f"{value} ({', '.join(names)})" for value, names in by_value.items())
        yield f"Different {what}: {told}."


def _windows(entrants: Sequence[Entrant], lived: Mapping[int, Sequence[date]], common: set[date]) -> Iterator[str]:
    none = [each.bot.name for each in entrants if not lived[each.bot.pk]]
    if none:
        yield f"Nothing is summed yet in this time of {', '.join(none)}."
    if not common:
        if len(none) < len(entrants):
            yield "They have no day in common: each has the figures of its own days, which cannot be compared."
        return
    if any(set(days) != common for days in lived.values()):
        told = ", ".join(f"{each.bot.name} {len(lived[each.bot.pk])}" for each in entrants)
        yield f"Their days differ ({told}): figures are of the {len(common)} that all have, the chart is of all."
    if len(common) < ENOUGH:
        yield f"{len(common)} common day{'s' if len(common) > 1 else ''}: below {ENOUGH} a difference is not told from luck."


def _changes(entrants: Sequence[Entrant], span: str) -> Iterator[str]:
    """Yield what was made of a bot within the span, by the audit log, which keeps wall time. One query."""
    since = timezone.now() - length if (length := RANGES[span]) else None
    names = {str(each.bot.pk): each for each in entrants}
    entries = AuditEntry.objects.filter(object_type=Bot._meta.label_lower, object_id__in=list(names)).order_by("at")
    touched = Q()
    for column in SETTINGS:
        touched |= Q(after__has_key=column)
    for key, at, before, after in entries.filter(touched).values_list("object_id", "at", "before", "after"):
        each = names[key]
        if (since and at < since) or not isinstance(before, dict) or not isinstance(after, dict):
            continue
        changed = [name.replace("_", " ") for name in SETTINGS if name in before and before[name] != after.get(name)]
        if changed:
            yield f"{each.bot.name} was changed on {at:%d %b %Y} ({', '.join(changed)}): its days before and after are two bots'."


def _shared(scores: Iterable[Score]) -> Iterator[str]:
    names = [score.bot.name for score in scores if score.days and not score.alone]
    if names:
        yield f"On the account of {', '.join(names)} others traded too: its return and its curve are not the bot's alone."


def _prompt(bot: Bot, newest: Mapping[str, int]) -> str:
    if bot.model.startswith(f"{RULES}/"):
        return ""
    version = bot.prompt_version or newest.get(bot.prompt_template)
    return f"{bot.prompt_template} v{version}" if version else bot.prompt_template
