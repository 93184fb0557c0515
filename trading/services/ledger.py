"""The wallet and the exchange's own list of why it changed: copied line by line, and added up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from trading.domain.venue import SETTLED_IN, AccountState, Income, IncomeKind
from trading.exchange.base import Unavailable
from trading.services.world import World

OPENING_ID: Final = "opening"
READINGS: Final = 3
"""How often wallet and list are read, a second apart, before a difference is one: a line may come after the money."""
READINGS_APART: Final = 1.0
LATE: Final = timedelta(days=8)
"""How far back a line that comes late is looked for at each look."""
DAWN = datetime(1970, 1, 1, tzinfo=UTC)


def book_income(world: World, *, since: datetime | None = None) -> set[str] | None:
    """Copy the lines of the ledger that we do not have yet, all of them from `since`. None when they cannot be read.

    Returns the symbols of executions that it speaks of and that are not booked yet.
    """
    try:
        newest = world.journal.income_since()
        if newest == DAWN and world.exchange.income_reach is not None:
            _begin(world)
            return set()  # what was traded before the account was ours is not ours to book
        return world.journal.book_income(world.exchange.income(since=newest if since is None else since))
    except Unavailable as fault:
        world.journal.incident("books-behind", f"the ledger could not be read ({fault})", subject="ledger")
        return None


def check_wallet(world: World, state: AccountState, *, thorough: bool) -> tuple[AccountState, str]:
    """Compare the wallet with the sum of its ledger; return the newest state and what differs, "" when nothing does.

    A line that came late is found by reading the last days again. All of it, which costs a good part of a minute's
    requests, and what a person was told of already, is read again only where it is `thorough`.
    """
    total = world.journal.ledger_total()
    if total != state.wallet and (thorough or not world.journal.is_open("ledger-mismatch", "wallet")):
        since = DAWN if thorough else world.clock.now() - LATE
        for reading in range(READINGS):
            if reading:
                world.sleep(READINGS_APART)
            if book_income(world, since=since) is None:
                return state, ""
            state, total = world.exchange.account(), world.journal.ledger_total()
            if total == state.wallet:
                break
    total = total or Decimal(0)
    if total == state.wallet:
        world.journal.mended("ledger-mismatch")
        return state, ""
    text = f"the ledger adds up to {total:f}, the exchange says the wallet holds {state.wallet:f}"
    figures = {"ledger": str(total), "wallet": str(state.wallet)}
    world.journal.incident("ledger-mismatch", text, critical=True, subject="wallet", data=figures)
    return state, text


def _begin(world: World) -> None:
    """Copy a ledger for the first time, with one line for all that lies further back than the exchange tells.

    The wallet has to be the same before and after the list was read: else a line of today would be taken for old money.
    """
    before = world.exchange.account().wallet
    for _ in range(READINGS):
        lines = world.exchange.income(since=DAWN)
        wallet = world.exchange.account().wallet
        if wallet == before:
            world.journal.book_income([*_opening(world, lines, wallet), *lines])
            return
        before = wallet
    raise Unavailable("the wallet changed each time its ledger was read")


def _opening(world: World, lines: Sequence[Income], wallet: Decimal) -> list[Income]:
    told = sum((line.amount for line in lines if line.asset == SETTLED_IN), Decimal(0))
    reach = world.exchange.income_reach
    if wallet == told or reach is None:
        return []
    at = min([world.clock.now() - reach, *(line.at for line in lines)])
    return [Income(OPENING_ID, IncomeKind.OPENING, "", wallet - told, at)]
