"""What was done: orders and the books made of them, and the paper venue's own tables."""

from trading.models.books import (
    AccountTerms,
    Claim,
    EquityPoint,
    Fill,
    IncomeEntry,
    Lock,
    Order,
    OrderEvent,
    Position,
    Reconciliation,
    UserStreamState,
)
from trading.models.paper import PaperAccount, PaperIncome, PaperOrder, PaperPosition, PaperTrade
from trading.models.performance import EquityHour, PerformanceDay, PerformanceState
from trading.models.watch import GuardState, Halt, LossWatch

__all__ = [
    "AccountTerms",
    "Claim",
    "EquityHour",
    "EquityPoint",
    "Fill",
    "GuardState",
    "Halt",
    "IncomeEntry",
    "Lock",
    "LossWatch",
    "Order",
    "OrderEvent",
    "PaperAccount",
    "PaperIncome",
    "PaperOrder",
    "PaperPosition",
    "PaperTrade",
    "PerformanceDay",
    "PerformanceState",
    "Position",
    "Reconciliation",
    "UserStreamState",
]
