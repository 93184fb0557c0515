"""The rules in their order, and how proposals are ruled by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Context, getcontext, setcontext
from functools import partial
from typing import Any, Final

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Action, Proposal, RuleHit, Ruling, Verdict
from decisions.domain.question import BotView
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.history import History
from trading.domain.known import known
from trading.domain.risk.booking import after_close, after_entry
from trading.domain.risk.case import Ask, Books, Entry, Finding, Rule, Standing, Terms, ask_of, entry_of, plain
from trading.domain.risk.form import FORM
from trading.domain.risk.holding import HOLDING
from trading.domain.risk.market import MARKET
from trading.domain.risk.prices import PRICES
from trading.domain.risk.sizes import SIZES
from trading.domain.risk.standing import STANDING, muddle_in, unusable

OF_ASKS: Final[tuple[Rule[Ask], ...]] = (*STANDING, *MARKET, *HOLDING, *FORM)
OF_ENTRIES: Final[tuple[Rule[Entry], ...]] = (*PRICES, *SIZES)
RULES: Final[tuple[Rule[Any], ...]] = (*OF_ASKS, *OF_ENTRIES)
"""Every rule of entries, in the order of evaluation. The first that refuses ends it; those that reduce all speak."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "trailing_stop": "the guard lets stops follow a price that goes the right way, at this distance",
    "daily_loss": "reaching it puts a lock on the account, which `standing.blocked` speaks of",
    "max_drawdown": "reaching it puts a lock on the account, which `standing.blocked` speaks of",
    "equity_floor": "falling below it puts a lock on the account, which `standing.blocked` speaks of",
    "flatten_on_loss": "whether reaching one of these three also closes everything",
    "min_liquidation_distance": "the guard tells a person of a position that is nearer to its liquidation",
}
"""Limits that no rule of entries compares with, and who looks at them."""

NO_POSITION: Final = "position.none"
"""The one thing that can be said to a close: there is nothing to close."""

type Booking = Callable[[], Books]
"""Works out how the books are once a ruling is carried out: only where another proposal is ruled against them."""
type Ruled = tuple[Ruling, Booking | None]
"""A ruling, and what it changes in the books; None where that is nothing."""

DIGITS: Final = 50
"""Precision of all calculations here: enough that rounding never lifts a size over a limit or over the request."""
EXACT: Final = Context(prec=DIGITS)


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
    muddle = muddle_in(standing.history, snapshot.at)
    terms = Terms(snapshot, limits, bot, standing, unusable(limits), muddle)
    books = Books(portfolio, History() if muddle else standing.history)  # with a muddle nothing is entered anyway
    booked: Booking | None = None
    before = getcontext()  # threads of one request may share the object: another is put in its place, it is not changed
    setcontext(EXACT)
    try:
        for proposal in proposals:
            books = booked() if booked else books
            ruling, booked = _rule(ask_of(proposal, terms, books))
            rulings.append(ruling)
    finally:
        setcontext(before)
    return tuple(rulings)


def _rule(ask: Ask) -> Ruled:
    match ask.proposal.action:
        case Action.HOLD:
            return Ruling(ask.proposal, Verdict.ACCEPTED), None
        case Action.CLOSE:
            return _rule_close(ask)
        case _:
            return _rule_entry(ask)


def _rule_close(ask: Ask) -> Ruled:
    position = ask.held
    if position is None:
        hit = RuleHit(NO_POSITION, Verdict.REFUSED, f"There is no position in {ask.symbol} to close.")
        return Ruling(ask.proposal, Verdict.REFUSED, hits=(hit,)), None
    quantity = position.quantity if known(position.quantity) else None
    ruling = Ruling(ask.proposal, Verdict.ACCEPTED, quantity, position.leverage)
    return ruling, partial(after_close, ask.books, position, ask.terms.snapshot)


def _rule_entry(ask: Ask) -> Ruled:
    for rule in OF_ASKS:
        if fault := rule.check(ask):
            return _refused(ask, rule, fault), None
    return _rule_sound_entry(entry_of(ask))


def _rule_sound_entry(entry: Entry) -> Ruled:
    ask = entry.ask
    hits: list[RuleHit] = []
    for rule in OF_ENTRIES:
        finding = rule.check(entry)
        if finding is None:
            continue
        if rule.effect is Verdict.REFUSED:
            return _refused(ask, rule, finding, hits), None
        hits.append(_hit(rule, finding))
        entry = replace(entry, quantity=finding.allowed)
    verdict = Verdict.REDUCED if hits else Verdict.ACCEPTED
    ruling = Ruling(ask.proposal, verdict, entry.quantity, entry.leverage, tuple(hits), adds=entry.held is not None)
    return ruling, partial(after_entry, entry)


def _refused(ask: Ask, rule: Rule[Any], fault: Finding, before: Sequence[RuleHit] = ()) -> Ruling:
    return Ruling(ask.proposal, Verdict.REFUSED, hits=(*before, _hit(rule, fault)))


def _hit(rule: Rule[Any], finding: Finding) -> RuleHit:
    numbers = {name: plain(value) for name, value in finding.numbers.items()}
    return RuleHit(rule.id, rule.effect, finding.text, numbers)


def rules_of_limit() -> Mapping[str, tuple[Rule[Any], ...]]:
    """Return, for each limit of an account, the rules that compare with it; none for those that others look at."""
    return {limit.name: tuple(rule for rule in RULES if limit.name in rule.limits) for limit in fields(Limits)}


def as_table() -> str:
    """Return all rules as a Markdown table, in the order of evaluation."""
    rows = [
        f"| {order} | `{rule.id}` | {_EFFECTS[rule.effect]} | {rule.doc} | {', '.join(map(_default, rule.limits))} |"
        for order, rule in enumerate(RULES, 1)
    ]
    head = ["| # | id | when it fails | what has to hold | limits, as they are by default |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def as_table_of_others() -> str:
    """Return the limits that no rule of entries compares with as a Markdown table."""
    rows = [f"| {_default(name)} | {who} |" for name, who in ELSEWHERE.items()]
    return "\n".join(["| limit, as it is by default | who looks at it |", "|---|---|", *rows])


def _default(name: str) -> str:
    value = getattr(DEFAULTS, name)
    if isinstance(value, bool):
        return f"`{name}` {'yes' if value else 'no'}"
    return f"`{name}` {'none' if value is None else value}"


_EFFECTS: Final = {Verdict.REFUSED: "refused", Verdict.REDUCED: "reduced"}
