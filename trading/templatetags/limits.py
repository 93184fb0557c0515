"""Limits in sentences, and what a rule demands, for pages."""

from __future__ import annotations

from django import template

from accounts.domain.limit_clashes import Clash, cautions, clashes
from accounts.domain.limit_words import Group, groups
from accounts.models import RiskLimits
from trading.domain.risk import RULES

register = template.Library()

DOCS = {rule.id: rule.doc.replace("`", "") for rule in RULES}


@register.filter
def limit_groups(limits: RiskLimits) -> tuple[Group, ...]:
    """Return limits in sentences, by what they are about."""
    stated = limits.stated()
    return groups(stated) if stated else ()


@register.filter
def limit_warnings(limits: RiskLimits) -> tuple[Clash, ...]:
    """Return what contradicts itself, or is rarely meant."""
    stated = limits.stated()
    return (*clashes(stated), *cautions(stated)) if stated else ()


@register.filter
def rule_doc(rule: str) -> str:
    """Return what has to hold by a rule; nothing for one that is no more."""
    return DOCS.get(rule, "")
