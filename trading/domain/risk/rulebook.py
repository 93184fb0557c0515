"""The rules in their order, and how proposals are ruled by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import localcontext
from typing import Any, Final

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Action, Proposal, RuleHit, Ruling, Verdict
from decisions.domain.question import BotView
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.risk.booking import after_close, after_entry
from trading.domain.risk.case import Ask, Entry, Finding, Rule, Standing, entry_of, known, plain
from trading.domain.risk.form import FORM
from trading.domain.risk.prices import PRICES
from trading.domain.risk.sizes import SIZES

RULES: Final[tuple[Rule[Any], ...]] = (*FORM, *PRICES, *SIZES)
"""Every rule of entries, in the order of evaluation. The first that refuses ends it; those that reduce all speak."""

NO_POSITION: Final = "position.none"
"""The one thing that can be said to a close: there is nothing to close."""

DIGITS: Final = 50
"""Precision of all calculations here: enough that rounding never lifts a size over a limit or over the request."""


def rule_all(
    proposals: Sequence[Proposal],
    *,
    snapshot: MarketSnapshot,
    portfolio: Portfolio,
    limits: Limits,
    bot: BotView,
    standing: Standing,
) -> tuple[Ruling, ...]:
    """Rule on proposals in their order, each against the portfolio as the earlier rulings would leave it.

    Nothing but a missing position refuses a close. Sizes are only ever reduced, leverage is taken as asked or refused.
    """
    rulings: list[Ruling] = []
    with localcontext(prec=DIGITS):
        for proposal in proposals:
            ask = Ask(proposal, snapshot, portfolio, limits, bot, standing)
            ruling, portfolio = _rule(ask)
            rulings.append(ruling)
    return tuple(rulings)


def _rule(ask: Ask) -> tuple[Ruling, Portfolio]:
    match ask.proposal.action:
        case Action.HOLD:
            return Ruling(ask.proposal, Verdict.ACCEPTED), ask.portfolio
        case Action.CLOSE:
            return _rule_close(ask)
        case _:
            return _rule_entry(ask)


def _rule_close(ask: Ask) -> tuple[Ruling, Portfolio]:
    position = ask.portfolio.position(ask.symbol)
    if position is None:
        hit = RuleHit(NO_POSITION, Verdict.REFUSED, f"There is no position in {ask.symbol} to close.")
        return Ruling(ask.proposal, Verdict.REFUSED, hits=(hit,)), ask.portfolio
    quantity = position.quantity if known(position.quantity) else None
    ruling = Ruling(ask.proposal, Verdict.ACCEPTED, quantity, position.leverage)
    return ruling, after_close(ask.portfolio, position, ask.snapshot)


def _rule_entry(ask: Ask) -> tuple[Ruling, Portfolio]:
    for form in FORM:
        if fault := form.check(ask):
            return _refused(ask, form, fault), ask.portfolio
    return _rule_sound_entry(entry_of(ask))


def _rule_sound_entry(entry: Entry) -> tuple[Ruling, Portfolio]:
    ask = entry.ask
    hits: list[RuleHit] = []
    for rule in (*PRICES, *SIZES):
        finding = rule.check(entry)
        if finding is None:
            continue
        if rule.effect is Verdict.REFUSED:
            return _refused(ask, rule, finding, hits), ask.portfolio
        hits.append(_hit(rule, finding))
        entry = replace(entry, quantity=finding.allowed)
    verdict = Verdict.REDUCED if hits else Verdict.ACCEPTED
    return Ruling(ask.proposal, verdict, entry.quantity, entry.leverage, tuple(hits)), after_entry(entry)


def _refused(ask: Ask, rule: Rule[Any], fault: Finding, before: Sequence[RuleHit] = ()) -> Ruling:
    return Ruling(ask.proposal, Verdict.REFUSED, hits=(*before, _hit(rule, fault)))


def _hit(rule: Rule[Any], finding: Finding) -> RuleHit:
    numbers = {name: plain(value) for name, value in finding.numbers.items()}
    return RuleHit(rule.id, rule.effect, finding.text, numbers)


def as_table() -> str:
    """Return all rules as a Markdown table, in the order of evaluation."""
    rows = [f"| {order} | `{rule.id}` | {_EFFECTS[rule.effect]} | {rule.doc} |" for order, rule in enumerate(RULES, 1)]
    return "\n".join(["| # | id | when it fails | what has to hold |", "|---|---|---|---|", *rows])


_EFFECTS: Final = {Verdict.REFUSED: "refused", Verdict.REDUCED: "reduced"}
