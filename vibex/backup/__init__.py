"""Backups of the database: made each hour, proved, encrypted, kept in a folder or a bucket, and restored (docs/backup.md)."""

from __future__ import annotations

from datetime import datetime


def last_success() -> datetime | None:
    """Return the moment whose state the newest backup holds; None before the first one. One query."""
    from accounts.models import Backup

    return Backup.objects.filter(well=True).order_by("-at").values_list("at", flat=True).first()
