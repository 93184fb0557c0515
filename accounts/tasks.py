"""What the scheduler and the writers of alerts send, and workers run."""

from __future__ import annotations

from celery import shared_task

from accounts.services.alerts.sending import deliveries_send
from accounts.services.calls import calls_prune as calls_forget
from accounts.services.sign_ins import sign_ins_tidy

UNTIL = 25
"""Seconds after which a round that nobody took is left to the next one."""


@shared_task(expires=UNTIL)
def alerts_send() -> None:
    """Send the messages that are due."""
    deliveries_send()


@shared_task(expires=600)
def calls_prune() -> None:
    """Forget answers that are older than a day, and end the sign-ins that nobody has used for long."""
    calls_forget()
    sign_ins_tidy()
