"""Limits in sentences, and what a rule demands, for pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from django import template
from django.db.models import QuerySet
from django.template import Context

from accounts.domain.limit_clashes import Clash, cautions, clashes
from accounts.domain.limit_words import Group, groups
from accounts.models import Account, RiskLimits
from trading.domain.risk import RULES
from trading.models import Lock
from trading.selectors.gauges import Gauge, gauges_of
from trading.selectors.standing import rules_of, standing_of
from trading.services.standing import locks_of

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
def stored_limits(account: Account | None) -> RiskLimits | None:
    """Return the limits as they are stored, not as a form that was refused has left them."""
    return RiskLimits.objects.filter(account=account).first() if account else None


@register.filter
def rule_doc(rule: str) -> str:
    """Return what has to hold by a rule; nothing for one that is no more."""
    return DOCS.get(rule, "")


@register.simple_tag(takes_context=True)
def limit_gauges(context: Context, account: Account) -> tuple[Gauge, ...]:
    """Return how near an account is to its limits, from where it stands if the page has read that already."""
    if (known := context.get("gauges")) is not None:
        return cast("tuple[Gauge, ...]", known)
    standing = context.get("standing")
    if standing is None:
        standing = standing_of(account, now=context["market"].now, rules=rules_of(account.market))
    return gauges_of(account, standing)


@register.simple_tag(takes_context=True)
def locks_in_force(context: Context, account: Account) -> Sequence[Lock] | QuerySet[Lock]:
    """Return the locks that bar entries now, oldest first; as the page has read them already, if it has."""
    known: Sequence[Lock] | None = context.get("locks")
    return locks_of(account).order_by("since") if known is None else known
