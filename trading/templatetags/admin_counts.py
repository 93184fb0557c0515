"""What the first page of the admin counts."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib import admin
from django.template import Context
from django.utils import timezone

from accounts.access.admin_groups import may_see
from trading.selectors.admin_counts import Card
from trading.selectors.admin_counts import admin_counts as counts_of

register = template.Library()


@register.simple_tag(takes_context=True)
def admin_counts(context: Context) -> list[Card]:
    """Return the counts of what the person may look at in the admin."""
    request: Any = context["request"]
    return counts_of(lambda model: may_see(request, model, admin.site._registry), now=timezone.now())
