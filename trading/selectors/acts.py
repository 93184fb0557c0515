"""What the dangerous buttons of a desk will do, in words and figures of this moment, before anybody presses them.

A plan carries the version of what it shows. What may raise risk is not done when that has changed since; a close, a
cancellation, a halt and a stopped bot are never refused for an old page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from accounts.models import Account
from trading.selectors import plans_account, plans_positions
from trading.selectors.plans import Plan

LONGEST_PRICE: Final = 30
PRICE: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
"""Plain digits: who types 1e5 or 98_500 may have meant something else."""


def plan_of(account: Account, act: str, subject: int, given: Mapping[str, str], *, barred: str = "") -> Plan | None:
    """Return what an act on a row of the account will do. None for what is not there, or another's.

    `barred`: why nothing may be opened there, as the gate before real money says it; empty when it may.
    """
    match act:
        case "close":
            return plans_positions.close(account, subject)
        case "close-all":
            return plans_positions.close_all(account)
        case "move-stop" | "move-target":
            return plans_positions.move(account, subject, act.removeprefix("move-"), price_typed(given))
        case "cancel":
            return plans_positions.cancel(account, subject)
        case "stop-bot":
            return plans_account.stop_bot(account, subject)
        case "start-bot":
            return plans_account.start_bot(account, subject, barred=barred)
        case "decide":
            return plans_account.decide(account, subject, barred=barred)
        case "halt":
            return plans_account.halt(account, keep=given.get("keep_positions") == "yes")
        case "resume":
            return plans_account.resume(account)
    return None


def price_typed(given: Mapping[str, str]) -> Decimal | None:
    """Return the price that was typed; None for none, or for what is no price."""
    typed = given.get("price", "").strip()
    if len(typed) > LONGEST_PRICE or not PRICE.fullmatch(typed):
        return None
    found = Decimal(typed)
    return found if Decimal("0.00000001") <= found < Decimal("1e12") else None
