"""Halts, to read: the one in force, and how accounts stand with theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from accounts.models import Account
from trading.models import Halt, Position

RESUME: Final = "accounts.resume_account"
"""The permission to lift a halt."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account on the page of the emergency stop: what the books say is open, and its halt."""

    account: Account
    positions: tuple[Position, ...]
    halt: Halt | None


def halt_in_force(account: Account) -> Halt | None:
    """Return the halt of an account that nobody has lifted, None for one that is not halted."""
    return halts_in_force(account).select_related("actor").first()


def halts_in_force(account: Account) -> QuerySet[Halt]:
    """Return the same as rows: one or none."""
    return Halt.objects.filter(account=account, account__state=Account.State.HALTED, lifted__isnull=True)


def standings_of(accounts: Iterable[Account]) -> list[Standing]:
    """Return how accounts stand, in their order."""
    every = list(accounts)
    open_ones: dict[int, list[Position]] = {}
    for position in Position.objects.filter(account__in=every, closed__isnull=True).order_by("symbol"):
        open_ones.setdefault(position.account_id, []).append(position)
    held = Halt.objects.filter(account__in=every, account__state=Account.State.HALTED, lifted__isnull=True)
    halts = {halt.account_id: halt for halt in held.select_related("actor")}
    return [Standing(one, tuple(open_ones.get(one.pk, ())), halts.get(one.pk)) for one in every]
