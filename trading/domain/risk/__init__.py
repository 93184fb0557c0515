"""Risk: what becomes of a proposal. Pure, and only ever less than what was asked.

`form` holds the rules that an entry must pass to be looked at, `prices` those about stop and target, `sizes` those
that reduce; `rulebook` has them in order. The page docs/risk.md is checked against them.
"""

from trading.domain.risk.case import Standing
from trading.domain.risk.rulebook import NO_POSITION, RULES, as_table, rule_all

__all__ = ["NO_POSITION", "RULES", "Standing", "as_table", "rule_all"]
