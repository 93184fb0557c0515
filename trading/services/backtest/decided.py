"""From what was asked to what was filled, in a backtest: how many came through each step, and why the others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from decisions.domain.funnel import Asked, Funnel, Said, Step, funnel_of
from decisions.domain.proposal import Action, Ruling, Verdict
from decisions.domain.providers import RULES
from decisions.domain.question import Outcome
from trading.services.backtest.run import Backtest
from trading.services.journal.kept import KeptOrder

UNFILLED: Final = "not filled"


@dataclass(frozen=True, slots=True)
class Decided:
    """The funnel of a run, its last step what was filled, and how often each rule made an entry smaller."""

    funnel: Funnel
    reduced: Mapping[str, int]
    holds_counted: bool
    """Whether holds are among what was said. Those of written rules are not: a backtest passes over most of them."""


def decided_of(backtest: Backtest) -> Decided:
    """Return what became of all questions and proposals. It is the same whether steps were passed over or not."""
    journal, rules = backtest.journal, backtest.plan.model.startswith(f"{RULES}/")
    rulings = [each for each in journal.rulings if not rules or each.proposal.action is not Action.HOLD]
    sent = [kept for kept in journal.kept.values() if kept.ruling is not None]
    ordered, filled = _rulings_of(sent), _rulings_of(kept for kept in sent if kept.facts.filled)
    funnel = funnel_of(_asked(backtest, rules=rules), (_said(ruling, ordered) for ruling in rulings))
    hits = (hit.rule for ruling in rulings for hit in ruling.hits if hit.effect is Verdict.REDUCED)
    return Decided(
        Funnel(funnel.replies, (*funnel.symbols, _filled(funnel.symbols[-1], len(filled)))),
        dict(Counter(hits).most_common()),
        holds_counted=not rules,
    )


def _asked(backtest: Backtest, *, rules: bool) -> Iterable[Asked]:
    """Return the questions. Rules always answer: at each step, those that were passed over as well."""
    if rules:
        return (Asked(Outcome.ANSWERED.value) for _ in range(backtest.steps))
    return (Asked(each.outcome.value, each.reason, each.held) for each in backtest.journal.readings)


def _said(ruling: Ruling, ordered: set[int]) -> Said:
    refused = next((hit.rule for hit in ruling.hits if hit.effect is Verdict.REFUSED), "")
    return Said(ruling.proposal.action.value, ruling.verdict.value, refused, ordered=id(ruling) in ordered)


def _rulings_of(orders: Iterable[KeptOrder]) -> set[int]:
    return {id(kept.ruling) for kept in orders}


def _filled(ordered: Step, filled: int) -> Step:
    missing = ordered.count - filled
    return Step("filled", filled, {UNFILLED: missing} if missing else {})
