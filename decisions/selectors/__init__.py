"""What was asked and decided before, as deciders and pages need it."""

from decisions.domain.feedback import TOLD as FEEDBACK
from decisions.domain.feedback import UNKNOWN
from decisions.domain.money import USUAL_COST
from decisions.selectors.feedback import feedback_for
from decisions.selectors.prompts import outside_current, outside_of, prompt_template_text, prompt_templates
from decisions.selectors.records import diary_of, invocations_of
from decisions.selectors.spending import (
    PerDecision,
    Slice,
    Spent,
    cost_between,
    cost_by_day,
    cost_by_model,
    cost_of_account,
    cost_of_cycles,
    cost_per_decision,
    cost_today,
    day_of,
    usual_cost,
)

__all__ = [
    "FEEDBACK",
    "UNKNOWN",
    "USUAL_COST",
    "PerDecision",
    "Slice",
    "Spent",
    "cost_between",
    "cost_by_day",
    "cost_by_model",
    "cost_of_account",
    "cost_of_cycles",
    "cost_per_decision",
    "cost_today",
    "day_of",
    "diary_of",
    "feedback_for",
    "invocations_of",
    "outside_current",
    "outside_of",
    "prompt_template_text",
    "prompt_templates",
    "usual_cost",
]
