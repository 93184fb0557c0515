"""Options of commands that ask models over recorded candles: how, how often, and for how much."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import CommandParser

from trading.management.backtest_options import amount, count, share

if TYPE_CHECKING:
    from decisions.domain.question import Asking
    from trading.services.backtest.deciders import Asked
    from trading.services.backtest.plan import BacktestPlan

MOST_REPEATS: Final = 100
MOST_JOBS: Final = 64
INTERRUPTED: Final = 130
"""Exit code of a command that was broken off."""
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def add_asking(parser: CommandParser) -> None:
    """Add how models are asked, how often, and what may be paid."""
    group = parser.add_argument_group("how they are asked")
    group.add_argument("--repeat", type=count(MOST_REPEATS), default=1, metavar="N", help="Runs of each (default 1).")
    group.add_argument("--masked", action="store_true", help="Hide symbols, dates and prices from the models.")
    group.add_argument("--mask-seed", type=int, default=1, help="How they are hidden (default 1).")
    group.add_argument("--max-cost", type=amount, metavar="USD", help="Pay at most so much now, all together.")
    group.add_argument("--jobs", type=count(MOST_JOBS), default=1, help="Runs at once (default 1).")
    group.add_argument("--template", default="arena", help="Prompt template (default arena).")
    group.add_argument("--template-version", type=int, help="Its version; default: the newest.")
    group.add_argument("--effort", default="low", choices=EFFORTS, help="Of reasoning (default low).")
    group.add_argument("--temperature", type=_temperature, help="Default: not sent, the model's own.")
    group.add_argument("--max-tokens", type=count(1_000_000), default=4_000, help="Of a reply (default 4000).")
    group.add_argument("--layout", default="arena", choices=("arena", "compact"), help="Of the market in the prompt.")
    group.add_argument("--deadline", type=count(3_600), default=30, help="Seconds for an answer (default 30).")
    group.add_argument("--conversations", type=Path, metavar="FOLDER", help="Write every word of every run there.")


def asks_of(plan: BacktestPlan, options: dict[str, Any]) -> BacktestPlan:
    """Return the plan with how models are asked."""
    from trading.services.backtest.asks import Asks

    return replace(
        plan,
        asks=Asks(
            _asking(options),
            prompt_template=options["template"],
            template_version=options["template_version"],
            seconds=float(options["deadline"]),
        ),
    )


def _asking(options: dict[str, Any]) -> Asking:
    from decisions.domain.question import Asking

    return Asking(
        effort=options["effort"],
        temperature=options["temperature"],
        max_tokens=options["max_tokens"],
        layout=options["layout"],
    )


def interrupted(asked: Asked) -> str:
    """End what still asks, and say what was paid and how it goes on."""
    asked.stop.set()
    return (
        f"Interrupted. {asked.allowance.paid:.4f} US dollars were paid; what was answered is kept: start the same command "
        "again and it goes on."
    )


def _temperature(text: str) -> Decimal:
    """Read a temperature from 0 to 2."""
    number = share(text) if text.startswith(("0", ".")) else amount(text)
    if number > 2:
        raise ArgumentTypeError(f"{text} is not a temperature from 0 to 2")
    return number
