"""The desk of an account, and its books. Each view finds the row among the person's own, reads by selectors and renders."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Account
from trading.pages import diary_choices, own_account, page_of
from trading.selectors import curve as curves
from trading.selectors import history_pages as history
from trading.selectors.desk import Desk, desk_of, waiting_on
from trading.selectors.guard import guard_from
from trading.selectors.hearing import hearing_from
from trading.selectors.installation import installation
from trading.selectors.ledger_sums import ledger_page
from trading.selectors.market import market_view, next_decision
from trading.selectors.model_money import account_money
from trading.selectors.opening import opening_of
from trading.selectors.trace import steps_of

LINES_ON_PAGE: Final = 50


@require_safe
def desk(request: HttpRequest, account_id: int) -> HttpResponse:
    account = own_account(request, account_id)
    context, seen = _desk(request, account)
    curve = curves.curve_of(account, now=context["market"].now, first=seen.first)
    context |= {"polyline": curves.polyline_of(curve), "points": len(curve), "ranges": curves.RANGES}
    return render(request, "trading/desk.html", context | {"here": "desk"})


@require_safe
def desk_live(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the moving panels of the desk, each to be put in its own place."""
    context, _ = _desk(request, own_account(request, account_id))
    return render(request, "trading/desk.html#live", context | {"oob": True})


@require_safe
def equity(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return equity and drawdown as a plotly figure."""
    account = own_account(request, account_id)
    span = request.GET.get("span", "all")
    if span not in curves.RANGES:
        return JsonResponse({"span": [f"Use one of: {', '.join(curves.RANGES)}."]}, status=400)
    points = curves.funded_of(account, now=market_view(account).now, span=span)
    return JsonResponse(curves.figure_of(points, start=opening_of(account).equity))


@require_safe
def orders(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show all orders of an account, by what is asked for."""
    account = own_account(request, account_id)
    asked = history.OrdersAsked.of(request.GET)
    page = Paginator(history.orders_of(account, asked), LINES_ON_PAGE).get_page(request.GET.get("page"))
    lines = [history.order_line(row) for row in page.object_list]
    context = page_of(request, account) | {"page": page, "lines": lines, "asked": asked, "here": "orders"}
    return render(request, "trading/orders.html", context | history.choices_of(account))


@require_safe
def trades(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show every execution of an account, by what is asked for."""
    account = own_account(request, account_id)
    asked = history.TradesAsked.of(request.GET)
    page = Paginator(history.trades_of(account, asked), LINES_ON_PAGE).get_page(request.GET.get("page"))
    lines = [history.fill_line(row) for row in page.object_list]
    context = page_of(request, account) | {"page": page, "lines": lines, "asked": asked, "here": "trades"}
    return render(request, "trading/trades.html", context | history.choices_of(account))


@require_safe
def books(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show limits, ledger, locks, incidents and reconciliations of an account; to staff also what runs here."""
    account = own_account(request, account_id)
    context = page_of(request, account)
    seen = desk_of(account, market_now=context["market"].now, now=context["now"])
    context |= _watched(account, seen, context["now"]) | {
        "here": "books",
        "opening": seen.opening,
        "limits": getattr(account, "limits", None),
        "installation": installation() if request.user.is_staff else None,
    }
    context |= ledger_page(account, now=context["market"].now)
    return render(request, "trading/books.html", context)


def _desk(request: HttpRequest, account: Account) -> tuple[dict[str, Any], Desk]:
    context = page_of(request, account)
    market = context["market"]
    seen = desk_of(account, market_now=market.now, now=context["now"])
    of = seen.standing
    context |= _watched(account, seen, context["now"]) | diary_choices(list(seen.bots))
    context |= {
        "seen": seen,
        "spent": account_money(account, total=of.total, day=of.day, market_now=market.now, now=context["now"]),
        "bots": [(each, next_decision(each, market)) for each in seen.bots],
        "last": seen.last,
        "steps": steps_of(seen.last) if seen.last else (),
        "entries": seen.entries,
        "waiting": waiting_on(account, request.user, market_now=market.now),
    }
    return context, seen


def _watched(account: Account, seen: Desk, now: datetime) -> dict[str, Any]:
    """Return what panels that several pages share would else read again, each for itself."""
    heard = hearing_from(getattr(account, "user_stream", None), now=now) if account.live else None
    looked_after = guard_from(getattr(account, "guard", None), now=now)
    return {
        "standing": seen.standing,
        "gauges": seen.gauges,
        "locks": seen.locks,
        "hearing": heard,
        "looked_after": looked_after,
    }
