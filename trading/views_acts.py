"""The dangerous buttons of a desk: each asks first, acts once, and shows what came of it. The work is that of the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.acts import Act
from accounts.access.once import NAME, SENT_BEFORE, Press, new_token, pressed
from accounts.access.pages import acting, real_money
from accounts.models import Account, Bot, Job, User
from accounts.services import incident_resolve
from accounts.services.jobs import Work, job_begin, job_wait
from trading.pages import own_account, page_of
from trading.selectors.acts import plan_of
from trading.selectors.outcomes import Outcome, outcome_of
from trading.selectors.plans import DOES, Plan
from trading.services.live_gate import live_allowed
from vibex.lib.errors import Retryable

WAIT: Final = 3.0
"""Seconds after which the page shows how it stands and goes on looking."""
LONGEST_REASON: Final = {"halt": 300, "resume": 200}
CHANGED: Final = "It has changed since this was shown, and nothing was done. This is how it stands now: confirm again if it is still meant."


@require_http_methods(["GET", "HEAD", "POST"])
@acting(DOES)
def act(request: HttpRequest, account_id: int, act: str, subject: int = 0) -> HttpResponse:
    """Ask whether it is meant, with what will happen; by POST do it, once, and show what came of it."""
    account = own_account(request, account_id)
    given = request.POST if request.method == "POST" else request.GET
    plan = plan_of(account, act, subject, given, barred=live_allowed(account))
    if plan is None:
        raise Http404
    if request.method != "POST":
        return _ask(request, plan)
    real_money(request, account)
    if wrong := _wrong(request, plan):
        return _ask(request, plan, wrong=wrong)
    return _press(request, plan)


@require_safe
def act_done(request: HttpRequest, account_id: int, job_id: int) -> HttpResponse:
    """Show what came of an act; HTMX asks again while it is worked on."""
    account = own_account(request, account_id)
    job = get_object_or_404(Job, pk=job_id, owner_id=request.user.pk, account=account)
    return _done(request, account, job)


@require_POST
@acting(Act.TRADE)
def resolve(request: HttpRequest, account_id: int, incident_id: int) -> HttpResponse:
    """Say that an incident is over, as the API does. Twice is harmless: the first one stays on record."""
    account = own_account(request, account_id)
    incident = get_object_or_404(account.incidents, pk=incident_id)
    real_money(request, account)
    reason = request.POST.get("reason", "").strip()[:300]
    if incident_resolve(incident=incident, actor=cast("User", request.user), reason=reason):
        messages.success(request, f"Resolved: {incident.text[:120]}")
    else:
        messages.info(request, "It was resolved already.")
    return redirect(f"{reverse('books', args=[account.pk])}#incidents-title")


# -- asking ----------------------------------------------------------------------------------------------------------


def _ask(request: HttpRequest, plan: Plan, *, wrong: str = "") -> HttpResponse:
    """Show what will happen: as a page, or as what stands in the dialog of one."""
    asked = request.POST if request.method == "POST" else request.GET
    context: dict[str, Any] = {
        "plan": plan,
        "wrong": wrong or _no_price(plan, asked.get("price", "")),
        "token": new_token(),
        "typed": asked.get("typed", ""),
        "reason": asked.get("reason", ""),
        "keep": asked.get("keep_positions", ""),
        "price": asked.get("price", plan.hint) if plan.price is None else f"{plan.price:f}",
        "account": plan.account,
        "now": timezone.now(),
    }
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trading/act.html#asked", context | {"dialog": True})
    context |= page_of(request, plan.account) | {"here": "act"}
    return render(request, "trading/act.html", context, status=409 if wrong else 200)


def _no_price(plan: Plan, typed: str) -> str:
    return f"{typed.strip()[:40]} is no price." if not plan.ready and typed.strip() else ""


def _wrong(request: HttpRequest, plan: Plan) -> str:
    """Return what is missing in what was typed; empty when nothing is."""
    if plan.blocked:
        return plan.blocked if not plan.ends else ""
    if not plan.possible and not plan.ends:
        return "; ".join(each.text for each in plan.conditions if each.needed and not each.met) + "."
    if plan.typed and request.POST.get("typed", "").strip() != plan.account.name:
        return f"Type the name of the account to confirm: {plan.account.name}."
    if not plan.ready:
        return _no_price(plan, request.POST.get("price", "")) or "Say at which price."
    if "reason" in plan.wants and not plan.ends and not request.POST.get("reason", "").strip():
        return "Say why: it stays on record."
    return ""


# -- doing -----------------------------------------------------------------------------------------------------------


def _press(request: HttpRequest, plan: Plan) -> HttpResponse:
    press = pressed(request, ends=plan.ends)
    if press.job is not None:
        return _shown(request, plan, press.job)
    changed = request.POST.get("version", "") != plan.version
    if press.other or (changed and not plan.ends):
        if not press.other:
            press.dropped()
        return _ask(request, plan, wrong=SENT_BEFORE if press.other else CHANGED)
    return _begin(request, plan, press, changed=changed)


def _begin(request: HttpRequest, plan: Plan, press: Press, *, changed: bool) -> HttpResponse:
    kind, asked, work = _work(request, plan)
    person, bot = cast("User", request.user), plan.row if isinstance(plan.row, Bot) else getattr(plan.row, "bot", None)
    try:
        job = job_begin(
            owner=person, kind=kind, work=press.once(work), account=plan.account, bot=bot, asked=asked, vital=plan.ends
        )
    except Retryable as busy:
        press.dropped()
        return _ask(request, plan, wrong=str(busy))
    job = job_wait(job, WAIT)
    press.began(job)
    return _shown(request, plan, job, changed=changed)


def _work(request: HttpRequest, plan: Plan) -> tuple[str, dict[str, Any], Work]:
    """Return the name of the job, what is asked of it, and what does it: as the API has it."""
    person, row = cast("User", request.user), cast("Any", plan.row)
    reason = request.POST.get("reason", "").strip()[: LONGEST_REASON.get(plan.act, 0)]
    keep = request.POST.get("keep_positions") == "yes"
    # Imported here: what trades loads the engine and its libraries, which reading a page does not need.
    from trading.api import close_all, cycles, halt, orders, positions
    from trading.services import act_work as works

    price = "" if plan.price is None else f"{plan.price:f}"
    known: dict[str, Callable[[], tuple[str, dict[str, Any], Work]]] = {
        "close": lambda: ("close", {"position": row.pk}, partial(positions.close_work, position=row, actor=person)),
        "close-all": lambda: (
            "close-all",
            {},
            partial(close_all.close_all_work, account=plan.account, actor=person),
        ),
        "cancel": lambda: ("cancel", {"order": row.pk}, partial(orders.cancel_work, row, person)),
        "stop-bot": lambda: ("bot-stop", {"bot": row.pk}, partial(works.bot_stop_work, bot=row, actor=person)),
        "start-bot": lambda: ("bot-start", {"bot": row.pk}, partial(works.bot_start_work, bot=row, actor=person)),
        "decide": lambda: ("cycle", {"form": request.POST.get(NAME, "")[:64]}, partial(cycles.cycle_work, bot=row)),
        "move-stop": lambda: (
            "stop",
            {"position": row.pk, "price": price},
            partial(positions.stop_work, position=row, actor=person, price=plan.price),
        ),
        "move-target": lambda: (
            "target",
            {"position": row.pk, "price": price},
            partial(positions.target_work, position=row, actor=person, price=plan.price),
        ),
        "halt": lambda: (
            "halt",
            {"reason": reason, "keep_positions": keep},
            partial(halt.halt_work, account=plan.account, actor=person, reason=reason, keep_positions=keep),
        ),
        "resume": lambda: (
            "resume",
            {"reason": reason},
            partial(halt.resume_work, account=plan.account, actor=person, reason=reason),
        ),
    }
    return known[plan.act]()


# -- showing ---------------------------------------------------------------------------------------------------------


def _shown(request: HttpRequest, plan: Plan, job: Job, *, changed: bool = False) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return _done(request, plan.account, job, changed=changed)
    where = reverse("act-done", args=[plan.account.pk, job.pk])
    return redirect(f"{where}?{urlencode({'changed': 'yes'})}" if changed else where)


def _done(request: HttpRequest, account: Account, job: Job, *, changed: bool = False) -> HttpResponse:
    outcome: Outcome = outcome_of(job)
    changed = changed or request.GET.get("changed") == "yes"
    context: dict[str, Any] = {"job": job, "outcome": outcome, "changed": changed, "account": account}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trading/act_done.html#state", context | {"dialog": True})
    context |= page_of(request, account) | {"here": "act"}
    return render(request, "trading/act_done.html", context)
