"""What the scheduler and the writers of alerts send, and workers run."""

from __future__ import annotations

from celery import shared_task

from accounts.services.alerts.sending import deliveries_send

UNTIL = 25
"""Seconds after which a round that nobody took is left to the next one."""


@shared_task(expires=UNTIL)
def alerts_send() -> None:
    """Send the messages that are due."""
    deliveries_send()
