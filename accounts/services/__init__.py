"""The only writers of people, accounts, limits, bots, credentials, incidents and the audit trail."""

from accounts.services.accounts import account_change, account_create, account_delete, limits_change, limits_set
from accounts.services.alerts import alert_raise
from accounts.services.audit import Actor, audit_write
from accounts.services.bots import bot_change, bot_create, bot_delete
from accounts.services.incidents import incident_open, incident_resolve, incidents_mended
from accounts.services.people import password_generate, user_create

__all__ = [
    "Actor",
    "account_change",
    "account_create",
    "account_delete",
    "alert_raise",
    "audit_write",
    "bot_change",
    "bot_create",
    "bot_delete",
    "incident_open",
    "incident_resolve",
    "incidents_mended",
    "limits_change",
    "limits_set",
    "password_generate",
    "user_create",
]
