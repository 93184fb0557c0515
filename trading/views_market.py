"""The market page of an account and its chart."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.models import Account
from accounts.selectors import accounts_of
from marketdata.models import Feed
from trading.pages import above, own_account, running_first
from trading.selectors import chart as charts
from trading.selectors import market_page as prices
from trading.selectors.figure import figure_of
from trading.selectors.market import view_of
from vibex.lib.errors import Rejected


@require_safe
def market(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show candles, prices and freshness of one symbol; HTMX gets what changes with the choice.

    A wrong choice is 400, but not for HTMX, which shows no answer of that kind.
    """
    account = own_account(request, account_id)
    context = _market(request, account) | {"here": "market"}
    part = "#picture" if request.htmx else ""  # type: ignore[attr-defined]
    status = 400 if context["refusal"] and not part else 200
    return render(request, f"trading/market_page.html{part}", context, status=status)


@require_safe
def market_live(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the moving panels of the market page, each to be put in its own place."""
    account = own_account(request, account_id)
    return render(request, "trading/market_page.html#live", _market(request, account) | {"oob": True})


@require_safe
def market_figure(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the chart of one symbol as a plotly figure."""
    account = get_object_or_404(accounts_of(request.user), pk=account_id)
    feed = prices.feed_with_tick(account.market, request.GET.get("symbol", ""))
    if feed is None:
        raise Http404
    try:
        choice = prices.figure_choice(feed, request.GET)
    except Rejected as refusal:
        return JsonResponse({refusal.code: [str(refusal)]}, status=400)
    return JsonResponse(figure_of(prices.chart_at(account, feed, choice)))


def _market(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what the market page shows. What is asked for wrongly is told, and the usual chart shown."""
    feed = prices.feed_with_counts(account.market)
    context = above(request, account) | {"market": view_of(feed, account.market), "refusal": ""}
    return context | (_market_panels(request, account, feed, context) if feed else {})


def _market_panels(request: HttpRequest, account: Account, feed: Feed, context: dict[str, Any]) -> dict[str, Any]:
    rows, contracts = prices.bots_and_contracts(account, feed)
    bots, now = running_first(account, rows), context["market"].now
    offers, rules = prices.offers_of(feed, bots, contracts)
    refusal = ""
    try:
        choice = prices.choice_of(request.GET, offers)
    except Rejected as fault:
        refusal, choice = str(fault), prices.choice_of(QueryDict(), offers)
    look = prices.look_of(feed, choice.symbol, bots, offers, rules, contracts)
    return {
        "offers": offers,
        "choice": choice,
        "refusal": refusal,
        "look": look,
        "picture": prices.picture_at(feed, choice, look, now=now),
        "data": prices.data_of(feed),
        "trades": prices.trades_of(account, choice.symbol),
        "indicators": charts.NAMES,
    }
