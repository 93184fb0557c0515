"""All accounts of a person at a glance, and how their bots compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.selectors import accounts_of, bots_of
from marketdata.models import Feed
from trading.selectors.arena import FEWEST, MOST, Entrant, arena_of, chosen_of, entrants_of
from trading.selectors.curve import RANGES
from trading.selectors.leaderboard import LOOKED_BACK
from trading.selectors.market import view_of
from trading.selectors.overview import Overview, overview_of
from trading.selectors.overview_figure import MOST_LINES, drawn, figure_on
from trading.views_setup import setup_page

DIGITS: Final = 19
"""A number of so many may be larger than any key."""


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show all accounts of a person; to one without any, how to get one."""
    seen = overview_of(request.user, now=timezone.now())
    if not seen.cards:
        return setup_page(request)
    context = _shown(seen) | _drawn(request, seen) | {"spans": RANGES}
    return render(request, "trading/overview.html", context)


@require_safe
def overview_live(request: HttpRequest) -> HttpResponse:
    """Return the moving panels, each to be put in its own place."""
    seen = overview_of(request.user, now=timezone.now())
    return render(request, "trading/overview.html#live", _shown(seen) | {"oob": True})


@require_safe
def overview_equity(request: HttpRequest) -> HttpResponse:
    """Return the equity of the accounts on one market as a plotly figure, of those that are named (`account`) if any are.

    400 for a span or a market that there is not, and for what is no key.
    """
    span, market, named = request.GET.get("span", "week"), request.GET.get("market", ""), request.GET.getlist("account")
    if span not in RANGES:
        return JsonResponse({"span": [f"Use one of: {', '.join(RANGES)}."]}, status=400)
    if (chosen := _keys(named)) is None:
        return JsonResponse({"account": ["Name accounts by their numbers."]}, status=400)
    feed = Feed.objects.filter(venue=market).first()
    if feed is None:
        return JsonResponse({"market": ["No account of yours is on a market of this name."]}, status=400)
    accounts = drawn(accounts_of(request.user), market, chosen)
    return JsonResponse(figure_on(accounts, market, span, view_of(feed, market).now))


def _shown(seen: Overview) -> dict[str, Any]:
    return {
        "here": "overview",
        "seen": seen,
        "now": seen.now,
        "lights": seen.lights,
        "waiting": seen.waiting,
        "unseen_alerts": seen.unseen,
        "days_back": LOOKED_BACK.days,
        "most_lines": MOST_LINES,
        "listens": [card.account.pk for card in seen.cards],
    }


def _drawn(request: HttpRequest, seen: Overview) -> dict[str, Any]:
    """Return what the chart shows: its market, the accounts there to choose from, and those that were chosen."""
    market = _market(request, seen.markets)
    offers = sorted((each.account for each in seen.cards if each.account.market == market), key=lambda one: one.name)
    named = _keys(request.GET.getlist("account")) or ()
    chosen = [one.pk for one in offers if one.pk in named]
    query = urlencode([("market", market), *(("account", key) for key in chosen)])
    return {"market_drawn": market, "offers": offers, "chosen": chosen, "chart_query": query}


def _market(request: HttpRequest, markets: tuple[str, ...]) -> str:
    """Return the market that is drawn: the one asked for if accounts are on it, else the first."""
    asked = request.GET.get("market", "")
    return asked if asked in markets else markets[0]


@require_safe
def arena(request: HttpRequest) -> HttpResponse:
    """Compare bots over the same days; 404 for one that is not the person's."""
    asked, everybody = _asked(request), entrants_of(request.user)
    chosen = _chosen(asked, everybody)
    found = arena_of(chosen, asked.span) if len(chosen) >= FEWEST else None
    return render(
        request,
        "trading/arena.html",
        {
            "here": "arena",
            "asked": asked,
            "spans": RANGES,
            "everybody": [each for each in everybody if asked.prompt in ("", each.prompt)],
            "prompts": sorted({each.prompt for each in everybody} - {""}),
            "chosen": [each.bot.pk for each in chosen],
            "found": found,
            "most": MOST,
            "too_many": len(asked.bots) > MOST,
        },
    )


@require_safe
def arena_equity(request: HttpRequest) -> HttpResponse:
    """Return the equity of the accounts of chosen bots as a plotly figure: of those on the market of the first."""
    asked = _asked(request)
    mine = bots_of(request.user).filter(pk__in=asked.bots)
    accounts = {bot.account_id: bot.account for bot in mine.order_by("pk")}
    if not accounts:
        raise Http404
    market = next(iter(accounts.values())).market
    feed = Feed.objects.filter(venue=market).first()
    shown = drawn(accounts_of(request.user).filter(pk__in=accounts), market)
    return JsonResponse(figure_on(shown, market, asked.span, view_of(feed, market).now))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked of the arena. What it does not know is 404."""

    bots: tuple[int, ...]
    span: str
    prompt: str


def _asked(request: HttpRequest) -> _Asked:
    bots, span = request.GET.getlist("bots"), request.GET.get("span", "month")
    keys = _keys(bots)
    if span not in RANGES or keys is None:
        raise Http404
    return _Asked(keys, span, request.GET.get("prompt", ""))


def _keys(named: Sequence[str]) -> tuple[int, ...] | None:
    """Return keys as numbers, each once; None where one is none."""
    if not all(key.isascii() and key.isdigit() and len(key) < DIGITS for key in named):
        return None
    return tuple(dict.fromkeys(map(int, named)))


def _chosen(asked: _Asked, everybody: Sequence[Entrant]) -> list[Entrant]:
    if set(asked.bots) - {each.bot.pk for each in everybody}:
        raise Http404
    return chosen_of(everybody, asked.bots, asked.prompt)
