"""What every page says of alerts: how many the person has not seen."""

from __future__ import annotations

from typing import Any

from django import template

from accounts.selectors import open_alerts

register = template.Library()
LOUD = {"critical": "status-failed", "error": "status-failed", "warning": "status-paused"}


@register.simple_tag(takes_context=True)
def unseen_alerts(context: dict[str, Any]) -> int:
    """Return how many alerts the signed-in person has not acknowledged; what the page has counted already, if it has."""
    if (counted := context.get("unseen_alerts")) is not None:
        return int(counted)
    return open_alerts(context["user"]).count()


@register.filter
def loudness(severity: str) -> str:
    """Return the class in which a severity is shown."""
    return f"status {LOUD.get(severity, '')}".strip()
