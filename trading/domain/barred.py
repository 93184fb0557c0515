"""What bars entries now, in the words of the rules: told to a model before it decides. Pure.

Each symbol is tried with an entry that has all its parts and no sense. Which rule refuses it first is what a real one
would hear; a rule that only dislikes the numbers bars nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import Final

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Action, Proposal
from decisions.domain.question import BotView
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.risk import Standing, rule_all

PROBE: Final = Proposal(
    "",
    Action.BUY,
    quantity=Decimal(1),
    leverage=1,
    stop_loss=Decimal(1),
    profit_target=Decimal(1),
    confidence=1.0,
)
BARRING: Final = frozenset(
    {
        "account.state",
        "bot.state",
        "limits.known",
        "standing.blocked",
        "history.known",
        "entries.hour",
        "entries.day",
        "streak.losing",
        "entry.cooldown",
    }
)
"""Rules that no other numbers in a proposal could satisfy."""


def barred(
    *, snapshot: MarketSnapshot, portfolio: Portfolio, limits: Limits, bot: BotView, standing: Standing
) -> tuple[str, ...]:
    """Return what bars entries, once for all symbols that it bars: `streak.losing (all symbols): …`."""
    told: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for symbol in bot.symbols:
        probes = [replace(PROBE, symbol=symbol, action=action) for action in (Action.BUY, Action.SELL)]
        rulings = rule_all(probes, snapshot=snapshot, portfolio=portfolio, limits=limits, bot=bot, standing=standing)
        hits = {ruling.proposal.action: hit for ruling in rulings for hit in ruling.hits if hit.rule in BARRING}
        for action, hit in list(hits.items())[:1]:
            who = symbol if len(hits) == len(probes) else f"{symbol} {action}"
            told[hit.rule, hit.text.replace(symbol, "")].append((who, hit.text))
    return tuple(_said(rule, found, bot) for (rule, _), found in told.items())


def _said(rule: str, found: list[tuple[str, str]], bot: BotView) -> str:
    who, text = found[0]
    if len(found) == 1:
        return f"{rule} ({who}): {text}"
    every = len(found) == len(bot.symbols)
    named = "all symbols" if every else ", ".join(each for each, _ in found)
    return f"{rule} ({named}): {text.replace(who.partition(' ')[0], 'them')}"
