"""What the scheduler sends that is about the installation itself."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from vibex.lib.errors import VibexError

log = logging.getLogger(__name__)


@shared_task
def backup_hourly() -> None:
    """Back up the database, unless that was done within the hour. People are told of one that fails."""
    from vibex.backup.making import backup_is_due, backup_make

    if not settings.BACKUP_HOURLY or not backup_is_due():
        return
    try:
        backup_make()
    except VibexError as fault:  # told already, and the next hour tries again
        log.error("no backup could be made: %s", fault)  # noqa: TRY400
