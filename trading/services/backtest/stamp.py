"""Whether a model can have known what came: the stamp of a backtest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from decisions.domain.providers import RULES
from trading.services.backtest.plan import BacktestPlan

MEASURED: Final = (
    "A published test found the Sharpe ratios of such models 51 to 62 % lower after their cut-off than before."
)


class Kind(StrEnum):
    CLEAN = "clean"
    RULES = "rules"
    MASKED = "masked"
    UNKNOWN = "unknown"
    CONTAMINATED = "contaminated"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What to read a result by, in one word and in a sentence or two."""

    kind: Kind
    text: str

    @property
    def warns(self) -> bool:
        return self.kind in (Kind.CONTAMINATED, Kind.UNKNOWN)


def stamp_of(plan: BacktestPlan, cutoff: date | None, *, masked: bool) -> Stamp:
    """Return the stamp of a run. `cutoff` is the last day that the model can know of, as its catalogue says."""
    begins = plan.start.date()
    if plan.model.startswith(f"{RULES}/"):
        text = "Written rules remember nothing. Whoever wrote or chose them may have known this window: trials count."
        return Stamp(Kind.RULES, text)
    if cutoff is not None and begins > cutoff:
        return Stamp(
            Kind.CLEAN,
            f"The window begins on {begins:%d %b %Y}, after the model's knowledge cut-off of {_said(cutoff)}.",
        )
    where = "nobody states" if cutoff is None else f"is {cutoff:%d %b %Y}"
    if masked:
        text = (
            f"Symbols and dates were hidden and prices scaled. The model's knowledge cut-off {where}, so that it may have "
            "learned this window, and may know a famous path again."
        )
        return Stamp(Kind.MASKED, text)
    if cutoff is None:
        return Stamp(Kind.UNKNOWN, f"The model's knowledge cut-off {where}: it may know what came. {MEASURED}")
    text = (
        f"The window begins on {begins:%d %b %Y}, not after the model's knowledge cut-off of {_said(cutoff)}: it may know "
        f"what came, and this result proves nothing of what it would do now. {MEASURED}"
    )
    return Stamp(Kind.CONTAMINATED, text)


def _said(day: date) -> str:
    return f"{day:%d %b %Y}"
