"""The diary of an account: found by words, kind, symbol, bot and time, a page at a time.

A diary may have a million lines. None of them is counted, and a page looks through at most LOOKED lines: a search that
has not filled its page by then says how far back it came and goes on from there. So it costs the same on the first day
and after years, on SQLite and on PostgreSQL, and needs no index of words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts.models import Bot, User
from decisions.models import DiaryEntry
from vibex.lib.errors import Rejected

ON_PAGE: Final = 50
LOOKED: Final = 20_000
"""Lines that one page looks through at most, of all bots together."""
WORDS: Final = 8
LONGEST: Final = 200
"""Characters of a search."""
PARTS: Final = re.compile(r'"([^"]+)"|(\S+)')
NARROWS: Final = ("q", "kind", "symbol", "bot", "from", "to")
FIRST_YEAR, LAST_YEAR = 1970, 9000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person looks for. `since` to before `until`; `before` is where the page before this one ended."""

    words: tuple[str, ...] = ()
    kind: str = ""
    symbol: str = ""
    bot: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, int] | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    """What was typed, for the form and for links."""

    @property
    def narrowed(self) -> bool:
        return bool(self.given)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries, the newest first."""

    entries: Sequence[DiaryEntry]
    older: str = ""
    """Where the next page begins; "" at the end."""
    looked_until: datetime | None = None
    """How far back was looked, where that is not to the beginning."""


def wanted_of(given: Mapping[str, str]) -> Wanted:
    """Return what the query of an address asks for. Raises Rejected, with the name of the field as its code."""
    typed = {name: text for name in NARROWS if (text := given.get(name, "").strip())}
    words = words_of(typed.get("q", ""))
    kind, bot = typed.get("kind", ""), typed.get("bot", "")
    if kind and kind not in DiaryEntry.Kind.values:
        raise Rejected(f"There is no kind {kind[:20]}. There is {', '.join(DiaryEntry.Kind.values)}.", code="kind")
    if bot and not (bot.isascii() and bot.isdigit() and len(bot) < 19):
        raise Rejected("There is no such bot.", code="bot")
    since, last = _day(typed.get("from", ""), "from"), _day(typed.get("to", ""), "to")
    until = last + timedelta(days=1) if last else None
    if since and until and since >= until:
        raise Rejected("The first day comes after the last one.", code="from")
    return Wanted(
        words,
        kind,
        _plain(typed.get("symbol", ""))[:30],
        int(bot) if bot else None,
        _midnight(since) if since else None,
        _midnight(until) if until else None,
        _place(given.get("before", "")),
        typed,
    )


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a search; several in quotes are one. Raises Rejected (code `q`) for too much of it."""
    text = _plain(text)
    words = tuple(quoted or word for quoted, word in PARTS.findall(text))
    if len(text) > LONGEST or len(words) > WORDS:
        raise Rejected(f"Search for at most {WORDS} words in {LONGEST} characters.", code="q")
    return words


def found_of(bots: Sequence[Bot], wanted: Wanted) -> Found:
    """Return a page of the diary of these bots. Two queries, however much there is."""
    keys = _keys(bots, wanted)
    if not keys:
        return Found(())
    rows = _in_time(DiaryEntry.objects.filter(bot__in=keys), wanted)
    floor = floor_of(keys, wanted)
    if floor is not None:
        rows = rows.filter(at__gte=floor)
    found = list(_narrowed(rows, wanted).select_related("bot").order_by("-at", "-id")[: ON_PAGE + 1])
    if len(found) > ON_PAGE:
        last = found[ON_PAGE - 1]
        return Found(found[:ON_PAGE], _older(last.at, last.pk))
    return Found(found) if floor is None else Found(found, _older(floor, 0), floor)


def export_of(bots: Sequence[Bot], wanted: Wanted) -> QuerySet[DiaryEntry]:
    """Return everything that is found, newest first, as the table of the diary tells it. Who reads it, reads in pieces."""
    rows = _in_time(DiaryEntry.objects.filter(bot__in=_keys(bots, wanted)), wanted)
    return _narrowed(rows, wanted).annotate(account_id=F("bot__account_id")).order_by("-at", "-id")


def with_authors(entries: Sequence[DiaryEntry]) -> Sequence[DiaryEntry]:
    """Return entries with `author`, the person who wrote a note. One query, none where there is no note."""
    keys = {entry.pk: entry.data.get("author") for entry in entries if entry.kind == DiaryEntry.Kind.NOTE}
    people = User.objects.in_bulk({key for key in keys.values() if isinstance(key, int)}) if keys else {}
    for entry in entries:
        entry.author = people.get(keys.get(entry.pk))  # type: ignore[attr-defined]
    return entries


def floor_of(keys: Sequence[int], wanted: Wanted) -> datetime | None:
    """Return down to which time a page looks, so that it looks through about LOOKED lines; None: to the beginning.

    Of `wanted` counts where the page begins and ends. One query.
    """
    if not keys:
        return None
    each = max(1, LOOKED // len(keys))
    lines = _in_time(DiaryEntry.objects.filter(bot=OuterRef("pk")), wanted).order_by("-at", "-id").values("at")
    floors = Bot.objects.filter(pk__in=keys).order_by().annotate(floor=Subquery(lines[each : each + 1]))
    return max((at for at in floors.values_list("floor", flat=True) if at is not None), default=None)


def with_words(rows: QuerySet[DiaryEntry], words: Sequence[str]) -> QuerySet[DiaryEntry]:
    """Return the lines in which every word stands, in the text or as the symbol, in any case."""
    for word in words:
        rows = rows.filter(Q(text__icontains=word) | Q(symbol__icontains=word))
    return rows


def _keys(bots: Sequence[Bot], wanted: Wanted) -> list[int]:
    return [bot.pk for bot in bots if wanted.bot in (None, bot.pk)]


def _in_time(rows: QuerySet[DiaryEntry], wanted: Wanted) -> QuerySet[DiaryEntry]:
    if wanted.since is not None:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until is not None:
        rows = rows.filter(at__lt=wanted.until)
    if wanted.before is not None:
        at, key = wanted.before
        rows = rows.filter(at__lte=at).filter(Q(at__lt=at) | Q(pk__lt=key))
    return rows


def _narrowed(rows: QuerySet[DiaryEntry], wanted: Wanted) -> QuerySet[DiaryEntry]:
    for name in ("kind", "symbol"):
        if value := getattr(wanted, name):
            rows = rows.filter(**{name: value})
    return with_words(rows, wanted.words)


def _older(at: datetime, key: int) -> str:
    """Return the place of a page that begins below a line, in microseconds: no clock of a browser has a part in it."""
    return f"{(at - EPOCH) // timedelta(microseconds=1)}~{key}"


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char == " ")


def _day(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Rejected(f"{text[:20]} is no day: write it as 2026-03-29.", code=name)
    return day


def _midnight(day: date) -> datetime:
    """Return when a day begins where the reader is."""
    return timezone.make_aware(datetime.combine(day, time()))


def _place(text: str) -> tuple[datetime, int] | None:
    """Return where a page begins, as `older` of the page before says it; None for anything else."""
    moment, _, key = text.partition("~")
    if len(text) > 40:
        return None
    try:
        at, number = EPOCH + timedelta(microseconds=int(moment)), int(key)
    except (ValueError, OverflowError):
        return None
    return (at, number) if 0 <= number < 2**63 and at > EPOCH else None
