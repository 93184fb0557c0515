"""Options that commands about backtests share: which candles, which time, which bot, and how the venue treats it."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import CommandError, CommandParser

from accounts.domain.limits import LEVERAGE_CEILING, Limits
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.management.arguments import intervals
from trading.domain.schedule import timeframes_for
from vibex.lib.commands import moment, names
from vibex.lib.errors import VibexError

if TYPE_CHECKING:
    from trading.services.backtest import BacktestPlan
    from trading.services.backtest.source import Source

USAGE: Final = 2


def add_window(parser: CommandParser) -> None:
    """Add what is tested, and when."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="Folder with SYMBOL-interval.csv.gz files.")
    where.add_argument("--venue", help="Market whose stored candles are taken: aster, sim, …")
    parser.add_argument("--symbols", type=names, required=True, help="BTCUSDT,ETHUSDT,…")
    parser.add_argument("--from", dest="start", type=moment, required=True, help="2025-09-15, UTC, included.")
    parser.add_argument("--to", dest="end", type=moment, required=True, help="2025-10-15, UTC, not included.")
    parser.add_argument("--interval", default="1h", choices=INTERVAL_MS, help="How often it decides (default 1h).")
    parser.add_argument("--timeframes", type=intervals, help="What it sees; default: the interval and the next ones.")
    parser.add_argument("--capital", type=amount, default=Decimal(10_000), help="Starting balance (default 10000).")


def add_limits(parser: CommandParser) -> None:
    """Add what the bot may risk."""
    parser.add_argument(
        "--limits", default="usual", help="careful, usual, a file (.yaml, .json) or the name of an account."
    )
    parser.add_argument("--max-leverage", type=int, help=f"Leverage cap, 1 to {LEVERAGE_CEILING}.")
    parser.add_argument("--max-stop", type=amount, help="Farthest stop as a share of price, for example 0.10.")


def add_fills(parser: CommandParser) -> None:
    """Add how the venue fills. What is not said is on the careful side."""
    group = parser.add_argument_group("how orders are filled")
    group.add_argument("--fee", type=share, help="Share of the notional; default: as the contract says.")
    group.add_argument("--spread", type=share, default=Decimal("0.0002"), help="Ask − bid ÷ price (default 0.0002).")
    group.add_argument(
        "--slippage", type=share, default=Decimal(0), help="How far beyond the touch takers are filled (default 0)."
    )
    group.add_argument(
        "--stop-slippage",
        type=share,
        default=Decimal("0.05"),
        help="Share of a bar's range that a stop slips by, at least the spread (default 0.05).",
    )
    group.add_argument(
        "--latency",
        type=seconds,
        help="Seconds an order is on its way; 0: it meets the prices decided on; default: the next open.",
    )
    group.add_argument(
        "--volume-share",
        type=share,
        default=Decimal("0.1"),
        help="Share of a bar's volume that an entry may take at most, 0 for no bound (default 0.1).",
    )
    group.add_argument(
        "--funding", action=BooleanOptionalAction, default=True, help="Whether recorded funding is paid (default yes)."
    )


def source_of(options: dict[str, Any]) -> Source:
    """Return where the candles come from."""
    from trading.services.backtest.source import Source

    return Source(
        symbols=options["symbols"],
        timeframes=frames_of(options),
        start=options["start"],
        end=options["end"],
        folder=options["data"],
        venue=options["venue"],
        spread=options["spread"],
        funding=options["funding"],
    )


def plan_of(options: dict[str, Any], model: str) -> BacktestPlan:
    """Return the plan of the options. Raises CommandError for options that contradict themselves."""
    from trading.domain.matching import EngineSettings
    from trading.services.backtest import BacktestPlan

    latency = options["latency"]
    try:
        return BacktestPlan(
            symbols=options["symbols"],
            start=options["start"],
            end=options["end"],
            interval=options["interval"],
            timeframes=frames_of(options),
            model=model,
            capital=options["capital"],
            limits=limits_of(options, options["limits"]),
            fee=options["fee"],
            fills=EngineSettings(
                spread=options["spread"],
                slippage=options["slippage"],
                stop_slippage_range=options["stop_slippage"],
            ),
            latency=None if latency is None else timedelta(seconds=latency),
            volume_share=options["volume_share"] or None,
        )
    except VibexError as fault:
        raise CommandError(str(fault), returncode=USAGE) from None


def limits_of(options: dict[str, Any], named: str) -> Limits:
    """Return limits by what they are called, with what the options change of them."""
    from trading.services.backtest.limits import limits_named

    try:
        limits = limits_named(named)
    except VibexError as fault:
        raise CommandError(str(fault), returncode=USAGE) from None
    leverage = limits.max_leverage if options["max_leverage"] is None else options["max_leverage"]
    stop = limits.max_stop_distance if options["max_stop"] is None else options["max_stop"]
    if not 1 <= leverage <= LEVERAGE_CEILING:
        raise CommandError(f"--max-leverage {leverage} is not between 1 and {LEVERAGE_CEILING}", returncode=USAGE)
    if not limits.min_stop_distance < stop < 1:
        text = f"--max-stop {stop} is not a share between {limits.min_stop_distance} and 1"
        raise CommandError(text, returncode=USAGE)
    return replace(limits, max_leverage=leverage, max_stop_distance=stop)


def frames_of(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the timeframes that the bot sees."""
    return options["timeframes"] or timeframes_for(options["interval"])


def amount(text: str) -> Decimal:
    """Read a number above zero."""
    number = _decimal(text)
    if number <= 0:
        raise ArgumentTypeError(f"{text} is not above zero")
    return number


def share(text: str) -> Decimal:
    """Read a share from 0 to below 1."""
    number = _decimal(text)
    if not 0 <= number < 1:
        raise ArgumentTypeError(f"{text} is not a share from 0 to below 1, for example 0.0004")
    return number


def seconds(text: str) -> float:
    """Read seconds, from 0 to a day."""
    number = float(_decimal(text))
    if not 0 <= number <= 86_400:
        raise ArgumentTypeError(f"{text} is not a number of seconds from 0 to 86400")
    return number


def count(most: int) -> Any:
    """Return what reads a whole number from 1 to `most`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most:,}")
        return int(text)

    return read


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not number.is_finite():
        raise ArgumentTypeError(f"{text!r} is not a number")
    return number
