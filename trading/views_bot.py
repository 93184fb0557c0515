"""The page of a bot with its parts, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from accounts.access.acts import Act
from accounts.access.once import SENT_BEFORE, new_token, pressed
from accounts.access.pages import acting, real_money
from accounts.models import Account, Bot, Job, User
from accounts.selectors import bots_of
from decisions.selectors.agreement import agreement
from trading.pages import bots_on, page_of
from trading.selectors import books as book
from trading.selectors import bot_page
from trading.selectors.calibration import bot_calibration
from trading.selectors.market import MarketView, market_view, next_decision
from trading.selectors.model_money import bot_money, figure_of_cost, slices_of
from trading.selectors.trace import steps_of
from trading.services.deciding import cycle_begun, decision_begin
from trading.services.schedule import bot_pause, bot_start, bot_stop
from vibex.lib.errors import Rejected, Retryable

ASKED: Final = {"start": "start-bot"}
"""What is asked about first on real money, by the name that the question has."""
ACTS: Final[dict[str, Callable[..., Bot]]] = {"start": bot_start, "pause": bot_pause, "stop": bot_stop}
DOES: Final = {"start": Act.TRADE, "pause": Act.END, "stop": Act.END}


@require_safe
def bot(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show settings, state, schedule and the newest cycles of a bot. The parts that count much come by themselves."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    context = page_of(request, shown.account) | {"bot": shown, "here": "bot", "token": new_token()}
    context |= {"next_at": next_decision(shown, context["market"]), "schedule": bot_page.schedule_of(shown)}
    context["page"] = bot_page.cycle_page(shown, request.GET.get("page", ""))
    return render(request, "trading/bot.html", context)


@require_safe
def bot_funnel(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show where what a bot asked and proposed ended, and whether its confidence was worth anything."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    days = request.GET.get("days", bot_page.USUAL_SPAN)
    if days not in bot_page.SPANS:
        days = bot_page.USUAL_SPAN
    now = timezone.now()
    told = {"funnel": bot_page.bot_funnel(shown, span=bot_page.SPANS[days], now=now), "days": days}
    told |= {"calibration": bot_calibration(shown), "spans": list(bot_page.SPANS)}
    return _part(request, shown, "bot_funnel", told)


@require_safe
def bot_spent(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show what the models of a bot cost beside its result."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    return _part(request, shown, "bot_cost", {"spent": bot_money(shown, now=timezone.now())})


@require_safe
def bot_shadows(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show how the models that are only compared agree with the one that decides."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    return _part(request, shown, "shadows", {"agreement": agreement(shown, now=timezone.now())})


@require_safe
def bot_cost(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Return what the models of a bot cost on each day as a plotly figure."""
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    return JsonResponse(figure_of_cost(slices_of(shown, now=timezone.now())))


@require_POST
@acting(DOES)
def bot_act(request: HttpRequest, bot_id: int, act: str) -> HttpResponse:
    """Start, pause or stop a bot. Asking twice is harmless: the second time it is so already.

    Where a start means real money, what will happen is shown first.
    """
    if act not in ACTS:
        raise Http404
    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    real_money(request, shown.account)
    if shown.account.real and act in ASKED:
        return _to_question(request, shown, ASKED[act])
    refusal = _act(request, shown, act)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trading/desk.html#bot", _bot_panel(shown.account) | {"refusal": refusal})
    if refusal:
        messages.error(request, refusal)
    return redirect(_back_to(request, shown))


@require_POST
@acting(Act.TRADE)
def bot_decide(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Let a bot decide now, and lead to the cycle that began. The same form sent again leads to the same cycle.

    Where that means real money, what will happen is shown first.
    """
    from trading.api.cycles import cycle_work

    shown = get_object_or_404(bots_of(request.user), pk=bot_id)
    real_money(request, shown.account)
    if shown.account.real:
        return _to_question(request, shown, "decide")
    press = pressed(request, ends=False)
    if press.job is not None:
        return _to_cycle(request, shown, press.job)
    if press.other:
        messages.error(request, SENT_BEFORE)
        return redirect("bot", bot_id=shown.pk)
    try:
        job = decision_begin(
            bot=shown,
            owner=cast("User", request.user),
            form=press.call.key,
            work=press.once(partial(cycle_work, bot=shown)),
        )
    except Retryable as busy:
        press.dropped()
        messages.error(request, str(busy))
        return redirect("bot", bot_id=shown.pk)
    press.began(job)
    return _to_cycle(request, shown, job)


def _to_question(request: HttpRequest, shown: Bot, act: str) -> HttpResponse:
    """Lead to the page that says what an act will do, and does it once it is confirmed there."""
    question = redirect("act", shown.account_id, act, shown.pk)
    return HttpResponseClientRedirect(question.url) if request.htmx else question  # type: ignore[attr-defined]


def _to_cycle(request: HttpRequest, shown: Bot, job: Job) -> HttpResponse:
    if job.problem:
        messages.error(request, str(job.problem["detail"]))
    begun = cycle_begun(job)
    if begun is not None:
        return redirect("cycle", cycle_id=begun)
    if not job.problem:
        messages.info(request, f"{shown.name} is about to decide: its cycle will be the first of the list.")
    return redirect("bot", bot_id=shown.pk)


def _part(request: HttpRequest, shown: Bot, name: str, told: dict[str, Any]) -> HttpResponse:
    """Return a part of the page of a bot: alone for HTMX, with a frame around it for a browser without scripts."""
    context = told | {"bot": shown}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, f"trading/{name}.html", context | {"now": timezone.now()})
    framed = page_of(request, shown.account) | context | {"part": f"trading/{name}.html"}
    return render(request, "trading/bot_part.html", framed)


def _bot_panel(account: Account) -> dict[str, Any]:
    market = market_view(account)
    context = {"account": account, "market": market, "now": timezone.now()}
    return context | bot_context(account, bots_on(account), market)


def bot_context(account: Account, bots: list[Bot], market: MarketView) -> dict[str, Any]:
    last = book.last_cycle(account)
    return {
        "bots": [(each, next_decision(each, market)) for each in bots],
        "last": last,
        "steps": steps_of(last) if last else (),
    }


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
