"""What waits for the person who looks, for pages that show it beside other things."""

from __future__ import annotations

from django import template
from django.template import Context

from accounts.models import Account
from accounts.selectors import Person
from decisions.models import Approval, Decision
from trading.selectors.approvals import Waiting, waiting_for

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_of(context: Context, person: Person, account: Account) -> list[Waiting]:
    """Return what waits on an account, at the market time that the page has read already."""
    market = context.get("market")
    return waiting_for(person, account=account, now=market.now if market else None)


@register.simple_tag
def answer_of(decision: Decision) -> Approval | None:
    """Return the approval that a decision waits or waited for; None for one that never did."""
    return getattr(decision, "approval", None)


@register.simple_tag
def asked_by(decision: Decision) -> Approval | None:
    """Return the approval that a decision was ruled from; None for one that came from the bot itself."""
    return getattr(decision, "approved_from", None)
