"""What the pages of an account have in common: whose it is, its market, the way to the other accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import timezone

from accounts.models import Account, Bot
from accounts.selectors import accounts_of
from decisions.models import DiaryEntry
from trading.selectors.market import market_and_halt
from trading.services.live_gate import live_allowed


def own_accounts(request: HttpRequest) -> list[Account]:
    """Return the accounts of the person, read once a request: every page names them all.

    Each comes with its limits, its losses, and with who looks after it and listens to it.
    """
    known: list[Account] | None = getattr(request, "own_accounts", None)
    if known is None:
        known = list(
            accounts_of(request.user).select_related("limits", "loss_watch", "guard", "user_stream").order_by("pk")
        )
        request.own_accounts = known  # type: ignore[attr-defined]
    return known


def own_account(request: HttpRequest, account_id: int) -> Account:
    """Return an account of the person with its limits; 404 for another's."""
    found = next((each for each in own_accounts(request) if each.pk == account_id), None)
    if found is None:
        raise Http404
    return found


def page_of(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what every page of an account shows: its market, the way to the other accounts, the time."""
    market, halt = market_and_halt(account)
    return above(request, account) | {"market": market, "halt_in_force": halt}


def above(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what stands above every page of an account, besides its market."""
    return {
        "account": account,
        "accounts": own_accounts(request),
        "barred": live_allowed(account),
        "now": timezone.now(),
    }


def bots_on(account: Account) -> list[Bot]:
    """Return the bots of an account, the running one first."""
    return running_first(account, account.bots.order_by("pk"))


def running_first(account: Account, rows: Iterable[Bot]) -> list[Bot]:
    """Return bots of an account that were read already, by key, in that order."""
    bots = list(rows)
    for each in bots:
        each.account = account
    return sorted(bots, key=lambda each: each.status != Bot.Status.RUNNING)


def diary_choices(bots: list[Bot]) -> dict[str, Any]:
    """Return by what a diary can be narrowed."""
    symbols = sorted({symbol for each in bots for symbol in each.symbols})
    return {"kinds": DiaryEntry.Kind.choices, "symbols": symbols}
