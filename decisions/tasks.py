"""What the scheduler sends and workers run for decisions."""

from __future__ import annotations

from celery import shared_task

from decisions.services import afterwards
from decisions.services.catalogue import catalogues_keep as keep


@shared_task
def catalogues_keep() -> None:
    """Read the catalogues of models that are due, and tell of models that go away."""
    keep()


@shared_task
def afterwards_count() -> None:
    """Look what became of the entries that were asked for."""
    afterwards.afterwards_count()
