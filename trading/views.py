"""The operator's pages. Each view finds the row among the person's own, reads by selectors and renders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Account, Bot, User
from accounts.selectors import accounts_of, bots_of, open_incidents
from decisions.models import DiaryEntry
from decisions.selectors.agreement import agreement
from marketdata.models import Feed
from trading.selectors import books as book
from trading.selectors import chart as charts
from trading.selectors import curve as curves
from trading.selectors import market_page as prices
from trading.selectors.figure import figure_of
from trading.selectors.installation import installation
from trading.selectors.market import MarketView, account_to_show, market_view, next_decision, view_of
from trading.selectors.model_money import account_money, bot_money, figure_of_cost, slices_of
from trading.selectors.opening import opening_of
from trading.selectors.standing import rules_of, standing_of
from trading.selectors.trace import steps_of
from trading.services.live_gate import live_allowed
from trading.services.schedule import bot_pause, bot_start, bot_stop
from vibex.lib.errors import Rejected

ENTRIES_ON_DESK = 14
ENTRIES_ON_PAGE = 50
CYCLES_ON_PAGE = 40

ACTS: Final[dict[str, Callable[..., Bot]]] = {"start": bot_start, "pause": bot_pause, "stop": bot_stop}


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the desk that matters most; without any account say how to get one."""
    account = account_to_show(request.user)
    return desk(request, account.pk) if account else render(request, "trading/no_account.html")


@require_safe
def desk(request: HttpRequest, account_id: int) -> HttpResponse:
    account = _own_account(request, account_id)
    context = _desk(request, account)
    curve = curves.curve_of(account, now=context["market"].now)
    context |= {"polyline": curves.polyline_of(curve), "points": len(curve), "ranges": curves.RANGES}
    return render(request, "trading/desk.html", context | {"here": "desk"})


@require_safe
def desk_live(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the moving panels of the desk, each to be put in its own place."""
    account = _own_account(request, account_id)
    return render(request, "trading/desk.html#live", _desk(request, account) | {"oob": True})


@require_safe
def equity(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the equity curve as a plotly figure."""
    account = _own_account(request, account_id)
    span = request.GET.get("span", "all")
    if span not in curves.RANGES:
        return JsonResponse({"span": [f"Use one of: {', '.join(curves.RANGES)}."]}, status=400)
    curve = curves.curve_of(account, now=market_view(account).now, span=span)
    return JsonResponse(curves.figure_of(curve, start=opening_of(account).equity))


@require_safe
def market(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show candles, prices and freshness of one symbol; HTMX gets what changes with the choice."""
    account = _own_account(request, account_id)
    context = _market(request, account) | {"here": "market"}
    part = "#picture" if request.htmx else ""  # type: ignore[attr-defined]
    status = 400 if context["refusal"] else 200
    return render(request, f"trading/market_page.html{part}", context, status=status)


@require_safe
def market_live(request: HttpRequest, account_id: int) -> HttpResponse:
    """Return the moving panels of the market page, each to be put in its own place."""
    account = _own_account(request, account_id)
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


@require_safe
def books(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show limits, ledger, locks, incidents and reconciliations of an account; to staff also what runs here."""
    account = _own_account(request, account_id)
    context = page_of(request, account) | {
        "here": "books",
        "opening": opening_of(account),
        "limits": getattr(account, "limits", None),
        "incidents": account.incidents.all()[:20],
        "ledger": book.ledger(account),
        "locks": book.locks(account),
        "reconciliations": book.reconciliations(account),
        "installation": installation() if request.user.is_staff else None,
    }
    return render(request, "trading/books.html", context)


@require_safe
def diary(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show the diary of an account, narrowed by kind and symbol; a filter that does not exist matches nothing."""
    account = _own_account(request, account_id)
    chosen = {name: request.GET[name] for name in ("kind", "symbol") if request.GET.get(name)}
    entries = book.diary_of(account).filter(**chosen)
    page = Paginator(entries, ENTRIES_ON_PAGE).get_page(request.GET.get("page"))
    context = (
        page_of(request, account) | {"here": "diary", "page": page, "chosen": chosen} | _diary_choices(_bots(account))
    )
    return render(request, "trading/diary.html", context)


@require_safe
def bot(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show settings, state and the newest cycles of a bot."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    context = page_of(request, shown.account)
    page = Paginator(book.cycles_of(shown), CYCLES_ON_PAGE).get_page(request.GET.get("page"))
    context |= {"bot": shown, "next_at": next_decision(shown, context["market"]), "page": page, "back": request.path}
    context |= {"agreement": agreement(shown, now=context["now"]), "spent": bot_money(shown, now=context["now"])}
    return render(request, "trading/bot.html", context)


@require_safe
def bot_cost(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Return what the models of a bot cost on each day as a plotly figure."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    return JsonResponse(figure_of_cost(slices_of(shown, now=timezone.now())))


@require_POST
def bot_act(request: HttpRequest, bot_id: int, act: str) -> HttpResponse:
    """Start, pause or stop a bot. Asking twice is harmless: the second time it is so already."""
    if act not in ACTS:
        raise Http404
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    refusal = _act(request, shown, act)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trading/desk.html#bot", _bot_panel(shown.account) | {"refusal": refusal})
    if refusal:
        messages.error(request, refusal)
    return redirect(_back_to(request, shown))


def _own_account(request: HttpRequest, account_id: int) -> Account:
    return get_object_or_404(accounts_of(request.user).select_related("limits"), pk=account_id)


def page_of(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what every page of an account shows: its market, the way to the other accounts, the time."""
    return _above(request, account) | {"market": market_view(account)}


def _above(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what stands above every page of an account, besides its market."""
    accounts = accounts_of(request.user).order_by("pk")
    return {"account": account, "accounts": accounts, "barred": live_allowed(account), "now": timezone.now()}


def _market(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what the market page shows. What is asked for wrongly is told, and the usual chart shown."""
    feed = prices.feed_with_counts(account.market)
    context = _above(request, account) | {"market": view_of(feed, account.market), "refusal": ""}
    return context | (_market_panels(request, account, feed, context) if feed else {})


def _market_panels(request: HttpRequest, account: Account, feed: Feed, context: dict[str, Any]) -> dict[str, Any]:
    bots, now = _bots(account), context["market"].now
    offers, rules = prices.offers_of(feed, bots)
    refusal = ""
    try:
        choice = prices.choice_of(request.GET, offers)
    except Rejected as fault:
        refusal, choice = str(fault), prices.choice_of(QueryDict(), offers)
    look = prices.look_of(feed, choice.symbol, bots, offers, rules)
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


def _desk(request: HttpRequest, account: Account) -> dict[str, Any]:
    context = page_of(request, account)
    rules = rules_of(account.market)
    bots = _bots(account)
    market_now = context["market"].now
    standing = standing_of(account, now=market_now, rules=rules)
    spent = account_money(account, total=standing.total, day=standing.day, market_now=market_now, now=context["now"])
    return (
        context
        | _bot_context(account, bots, context["market"])
        | _diary_choices(bots)
        | {
            "standing": standing,
            "spent": spent,
            "orders": book.working_orders(account, rules),
            "fills": book.recent_fills(account, rules),
            "closed": book.closed_positions(account, rules),
            "entries": book.diary_of(account)[:ENTRIES_ON_DESK],
            "incidents": open_incidents(account)[:10],
        }
    )


def _bots(account: Account) -> list[Bot]:
    """Return the bots of an account, the running one first."""
    bots = list(account.bots.order_by("pk"))
    for each in bots:
        each.account = account
    return sorted(bots, key=lambda each: each.status != Bot.Status.RUNNING)


def _bot_panel(account: Account) -> dict[str, Any]:
    market = market_view(account)
    context = {"account": account, "market": market, "now": timezone.now()}
    return context | _bot_context(account, _bots(account), market)


def _bot_context(account: Account, bots: list[Bot], market: MarketView) -> dict[str, Any]:
    last = book.last_cycle(account)
    return {
        "bots": [(each, next_decision(each, market)) for each in bots],
        "last": last,
        "steps": steps_of(last) if last else (),
    }


def _diary_choices(bots: list[Bot]) -> dict[str, Any]:
    symbols = sorted({symbol for each in bots for symbol in each.symbols})
    return {"kinds": DiaryEntry.Kind.choices, "symbols": symbols}


def _act(request: HttpRequest, shown: Bot, act: str) -> str:
    """Do it; return why not, or nothing when it is done."""
    try:
        ACTS[act](bot=shown, actor=cast("User", request.user), reason="on the desk")
    except Rejected as refusal:
        return str(refusal)
    return ""


def _back_to(request: HttpRequest, shown: Bot) -> str:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return f"/accounts/{shown.account_id}/"
