"""What goes of people's traces after its time: sign-ins, keys, sessions, tokens, answers of the API, alerts, tries to back up."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import Alert, ApiKey, Backup, IdempotentCall, SignIn
from accounts.services.calls import KEPT as CALLS_KEPT
from vibex.lib.retention import days_before, deleting


def _sign_ins() -> QuerySet[Any]:
    return SignIn.objects.filter(ended__lt=days_before("SIGN_IN_RETENTION_DAYS"))


def _keys() -> QuerySet[Any]:
    before = days_before("SIGN_IN_RETENTION_DAYS")
    return ApiKey.objects.filter(Q(revoked__lt=before) | Q(expires__lt=before))


def _alerts() -> QuerySet[Any]:
    return Alert.objects.filter(acknowledged__lt=days_before("ALERT_RETENTION_DAYS"))


def _backups() -> QuerySet[Any]:
    newer = Backup.objects.filter(well=True, at__gt=OuterRef("at"))
    return Backup.objects.filter(Exists(newer), at__lt=days_before("CHECK_RETENTION_DAYS"))


RULES: Final = (
    deleting(
        "sessions.Session",
        "sessions of browsers that have expired",
        "at once",
        lambda: Session.objects.filter(expire_date__lt=timezone.now()),
    ),
    deleting(
        "token_blacklist.OutstandingToken",
        "refresh tokens that have expired",
        "at once",
        lambda: OutstandingToken.objects.filter(expires_at__lt=timezone.now()),
    ),
    deleting(
        "accounts.IdempotentCall",
        "answers of the API that are kept for calls that come twice",
        "24 hours",
        lambda: IdempotentCall.objects.filter(created__lt=timezone.now() - CALLS_KEPT),
    ),
    deleting("accounts.SignIn", "sign-ins that are over", "SIGN_IN_RETENTION_DAYS", _sign_ins),
    deleting("accounts.ApiKey", "keys that were revoked or have expired", "SIGN_IN_RETENTION_DAYS", _keys),
    deleting("accounts.Alert", "alerts that were acknowledged, with their deliveries", "ALERT_RETENTION_DAYS", _alerts),
    deleting("accounts.Backup", "notes on backups, but the newest", "CHECK_RETENTION_DAYS", _backups),
)
"""Of each table what goes, in the order in which it goes."""
