"""What the results of an account, a bot or a model are worth. The parts that count much come by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import wraps
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.models import Bot
from accounts.selectors import accounts_of
from trading.domain.regimes import RULE
from trading.selectors.judged import drawn
from trading.selectors.judged.beside import HOW, beside_of, curves_of, fan_of, market_of
from trading.selectors.judged.closed import Books, kept_in, opened_in
from trading.selectors.judged.figures import figures_of
from trading.selectors.judged.funnel import decided_by
from trading.selectors.judged.lived import Lived, lived_by
from trading.selectors.judged.parts import NAMES, parts_of
from trading.selectors.judged.subject import (
    Asked,
    Owned,
    Subject,
    asked_key,
    choices_of,
    since_of,
    subject_of,
    with_bots,
)
from trading.selectors.judged.trials import MOST
from vibex.lib.errors import Rejected

SPANS: Final = {"30": 30, "90": 90, "365": 365, "all": None}
USUAL: Final = "90"
LARGEST: Final = 10

type View = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a request is about."""

    subject: Subject
    lived: Lived
    asked: Asked
    owned: Sequence[Owned]
    days: str
    query: str
    """What the addresses of the parts carry."""

    @property
    def books(self) -> Books:
        return Books(self.subject, self.lived)


@require_safe
def performance(request: HttpRequest) -> HttpResponse:
    """Show whose results are looked at, over which days, and what they come to; 404 for what is not the person's."""
    seen = _seen(request)
    told: dict[str, Any] = {"here": "performance", "spans": SPANS, "now": timezone.now()}
    if seen is not None:
        told |= _shown(seen) | {"choices": choices_of(seen.owned), "most_trials": MOST}
        told |= {"since": request.GET.get("since", ""), "until": request.GET.get("until", "")}
    return render(request, "trading/performance.html", told)


def part(name: str) -> Callable[[Callable[[_Seen], dict[str, Any]]], View]:
    """Make a part of the page: alone for HTMX, with a frame around it for a browser without scripts.

    What cannot be computed is said in its place, and harms no other part.
    """

    def made(told: Callable[[_Seen], dict[str, Any]]) -> View:
        @require_safe
        @wraps(told)
        def view(request: HttpRequest) -> HttpResponse:
            seen = _seen(request)
            if seen is None:
                raise Http404
            context = _shown(seen) | {"now": timezone.now(), "here": "performance"}
            template = f"trading/performance_{name}.html"
            try:
                context |= told(seen)
            except (ArithmeticError, ValueError, Rejected) as fault:
                template, context["fault"] = "trading/performance_fault.html", str(fault)
            if request.htmx:  # type: ignore[attr-defined]
                return render(request, template, context)
            return render(request, "trading/performance_part.html", context | {"part": template})

        return view

    return made


@part("figures")
def performance_figures(seen: _Seen) -> dict[str, Any]:
    """Show all figures, and what they prove."""
    return {"found": figures_of(seen.subject, seen.lived, seen.asked, seen.books)}


@part("baselines")
def performance_baselines(seen: _Seen) -> dict[str, Any]:
    """Show the result beside what anybody could have done."""
    return {"found": beside_of(seen.subject, seen.lived), "how": HOW}


@part("trades")
def performance_trades(seen: _Seen) -> dict[str, Any]:
    """Show where the result came from."""
    found = parts_of(seen.subject, seen.lived, seen.books)
    named = [(NAMES[by], table) for by, table in found.by.items()] if found else []
    return {"found": found, "tables": named, "rule": RULE}


@part("funnel")
def performance_funnel(seen: _Seen) -> dict[str, Any]:
    """Show where decisions ended, and the newest ones."""
    return {"found": decided_by(seen.subject, seen.lived)}


@require_safe
def performance_equity(request: HttpRequest) -> HttpResponse:
    """Return equity beside baselines, and the fall from its peak, as a plotly figure."""

    def made(seen: _Seen) -> dict[str, Any]:
        market = market_of(seen.subject, seen.lived)
        known = curves_of(seen.lived, market, kept_in(seen.subject, seen.lived)) if market and market.known else {}
        return drawn.equity_figure(seen.lived, known)

    return _figure(request, made)


@require_safe
def performance_fan(request: HttpRequest) -> HttpResponse:
    """Return the result among the same positions at random times, as a plotly figure."""

    def made(seen: _Seen) -> dict[str, Any]:
        market = market_of(seen.subject, seen.lived)
        fan = fan_of(seen.lived, market, opened_in(seen.subject, seen.lived)) if market and market.known else None
        return drawn.fan_figure(seen.lived, fan)

    return _figure(request, made)


@require_safe
def performance_returns(request: HttpRequest) -> HttpResponse:
    """Return what each day or month brought, as a plotly figure."""
    return _figure(request, lambda seen: drawn.returns_figure(seen.lived))


def _figure(request: HttpRequest, made: Callable[[_Seen], dict[str, Any]]) -> HttpResponse:
    seen = _seen(request)
    return JsonResponse(made(seen) if seen else dict(drawn.NOTHING))


def _shown(seen: _Seen) -> dict[str, Any]:
    return {
        "subject": seen.subject,
        "lived": seen.lived,
        "days": seen.days,
        "query": seen.query,
        "trials_asked": seen.asked.trials,
        "months": drawn.MONTHS,
    }


def _seen(request: HttpRequest) -> _Seen | None:
    """Return what a request is about; None for a person without an account. Four queries. Raises Http404."""
    owned = with_bots(accounts_of(request.user))
    if not owned:
        if request.GET.get("of"):
            raise Http404
        return None
    asked = _whose(request.GET.get("of", ""), owned)
    subject = subject_of(owned, asked)
    days = request.GET.get("days", USUAL)
    since, until = _day(request, "since"), _day(request, "until")
    trials = request.GET.get("trials", "")
    if subject is None or days not in SPANS or not (trials == "" or _number(trials)):
        raise Http404
    length = SPANS[days]
    first = since or (since_of(subject, length) if length else None)
    asked = replace(asked, since=first, until=until, trials=int(trials) if trials else None)
    named = {"of": subject.key, "days": days, "since": str(since or ""), "until": str(until or ""), "trials": trials}
    return _Seen(
        subject,
        lived_by(subject, asked),
        asked,
        owned,
        days,
        urlencode({name: value for name, value in named.items() if value}),
    )


def _whose(key: str, owned: Sequence[Owned]) -> Asked:
    """Return who is asked for; where nobody is, the first account on which a bot runs."""
    if key:
        asked = asked_key(key)
        if asked is None:
            raise Http404
        return asked
    runs = [each for each in owned if any(bot.status == Bot.Status.RUNNING for bot in each.bots)]
    return Asked(account=(runs or owned)[0].account.pk)


def _day(request: HttpRequest, name: str) -> date | None:
    text = request.GET.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Http404 from None


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < LARGEST and int(text) > 0
