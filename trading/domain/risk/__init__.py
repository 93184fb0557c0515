"""Risk: what becomes of a proposal. Pure, and only ever less than what was asked.

`standing`, `market`, `holding` and `form` hold the rules that an entry must pass to be looked at, `prices` those about
stop, target and reward, `sizes` those that reduce; `rulebook` has them in order. The page docs/risk.md is checked
against them.
"""

from trading.domain.risk.case import Rule, Standing
from trading.domain.risk.rulebook import (
    ELSEWHERE,
    NO_POSITION,
    RULES,
    as_table,
    as_table_of_others,
    rule_all,
    rules_of_limit,
)

__all__ = [
    "ELSEWHERE",
    "NO_POSITION",
    "RULES",
    "Rule",
    "Standing",
    "as_table",
    "as_table_of_others",
    "rule_all",
    "rules_of_limit",
]
