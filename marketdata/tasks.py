"""What the scheduler sends and workers run for market data."""

from __future__ import annotations

from celery import shared_task

from marketdata.services.retention import market_data_expire as expire


@shared_task
def market_data_expire() -> None:
    """Remove market data that is older than this installation wants to keep."""
    expire()
