"""Whether a live account can trade at its venue as it is set now: what the venue says, judged line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal

from accounts.models import Account, Bot
from trading.exchange.live import ConnectionCheck, SymbolCheck

MOST_SYMBOLS: Final = 12
"""Each costs weight 20 at AsterDEX, of 2,400 a minute."""
CLOCK_WARNS: Final = 2.0
CLOCK_FAILS: Final = 8.0
"""Seconds between the clocks. The venue takes what is within ten; orders are measured and stamped by its own clock."""
ABOVE_USUAL: Final = Decimal("0.001")
"""A taker who pays more than that at a perpetual venue pays for something else."""

type Mark = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: what was found, and what to do where it is not as it should be."""

    name: str
    mark: Mark
    text: str
    remedy: str = ""


def connection_check(*, account: Account) -> ConnectionCheck:
    """Ask the venue of a live account for everything that bears on trading; change nothing.

    Raises NeedsOperator (missing or refused keys), Rejected (unusable keys) or Unavailable (no answer).
    """
    from trading.services.exchanges import live_exchange_for

    return live_exchange_for(account).check(symbols_of(account))


def symbols_of(account: Account) -> list[str]:
    """Return what the bots of the account trade; while it has none, those of its paper account."""
    for of in (account.pk, account.promoted_from_id):
        named = Bot.objects.filter(account=of).values_list("symbols", flat=True) if of else ()
        if found := sorted({symbol for symbols in named for symbol in symbols}):
            return found[:MOST_SYMBOLS]
    return []


def findings_of(check: ConnectionCheck, symbols: list[str]) -> tuple[Finding, ...]:
    """Return what was found in words, in the order in which it matters. `symbols` are those that were asked for."""
    return (
        _clock(check.clock_ahead, check.round_trip),
        _money(check.wallet, check.available),
        _may_trade(check.can_trade),
        _may_withdraw(check.can_withdraw),
        _position_mode(one_way=check.one_way),
        _assets(check.single_asset),
        *_symbols(check.symbols, symbols),
    )


def _clock(ahead: timedelta, trip: timedelta) -> Finding:
    away = abs(ahead.total_seconds())
    side = "ahead of" if ahead > timedelta(0) else "behind"
    text = f"the venue's clock is {away:.2f} s {side} ours (±{trip.total_seconds() / 2:.2f} s)"
    mark: Mark = "fail" if away > CLOCK_FAILS else "warn" if away > CLOCK_WARNS else "ok"
    return Finding("Clock", mark, text, "" if mark == "ok" else "Set this machine's clock: timedatectl set-ntp true")


def _money(wallet: Decimal, available: Decimal) -> Finding:
    text = f"{wallet:,.2f} USDT in the wallet, {available:,.2f} available"
    if wallet > 0 and available > 0:
        return Finding("Balance", "ok", text)
    return Finding("Balance", "fail", text, "Move USDT into the futures wallet of this account.")


def _may_trade(may: bool | None) -> Finding:
    if may is None:
        return Finding("Trading", "ok", "the venue does not tell; the first order will show")
    if may:
        return Finding("Trading", "ok", "the account may trade")
    return Finding(
        "Trading", "fail", "the account may not trade", "Allow trading for it at the venue, then check again."
    )


def _may_withdraw(may: bool | None) -> Finding:
    """Withdrawing is a permission of the account here, never of the key: it is told so that nobody is misled."""
    if may is None:
        return Finding("Withdrawing", "ok", "the venue does not tell; give Vibex keys that may only trade")
    if not may:
        return Finding("Withdrawing", "ok", "the account may not withdraw")
    remedy = "Make sure at the venue that these keys may only trade: Vibex never withdraws."
    return Finding("Withdrawing", "warn", "the account may withdraw", remedy)


def _position_mode(*, one_way: bool) -> Finding:
    if one_way:
        return Finding("Position mode", "ok", "one-way")
    remedy = "Vibex switches it before the first order if nothing is open; else close everything there, or switch it."
    return Finding("Position mode", "fail", "hedge mode", remedy)


def _assets(single: bool | None) -> Finding:
    if single is None:
        return Finding("Margin assets", "ok", "the venue does not tell")
    if single:
        return Finding("Margin assets", "ok", "positions are carried by USDT only")
    remedy = (
        "Vibex switches it off before the first order if nothing is open; else close everything there, or switch it."
    )
    return Finding("Margin assets", "fail", "multi-asset mode: all assets carry all positions together", remedy)


def _symbols(found: tuple[SymbolCheck, ...], asked: list[str]) -> Iterator[Finding]:
    if not asked:
        yield Finding("Symbols", "warn", "none was looked at", "Make a bot: its symbols are checked then.")
    for one in found:
        fees = f"maker {_share(one.maker_fee)}, taker {_share(one.taker_fee)}"
        text = f"{'isolated' if one.isolated else 'cross'} margin, leverage {one.leverage}, {fees}"
        if not one.isolated:
            remedy = "Vibex switches it before the first order if nothing is open on it; else close that."
            yield Finding(one.symbol, "warn", text, remedy)
        elif one.taker_fee > ABOVE_USUAL:
            yield Finding(one.symbol, "warn", text, "That is far above what is usual: look at your fee level there.")
        else:
            yield Finding(one.symbol, "ok", text)
    for symbol in sorted(set(asked) - {one.symbol for one in found}):
        yield Finding(symbol, "fail", "the venue does not know it", "Take it out of the bots' symbols.")


def _share(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"
