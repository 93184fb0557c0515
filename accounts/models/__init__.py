"""Who trades, within which limits, and what people are told of it."""

from accounts.models.access import ApiKey, IdempotentCall, Job, SecondFactor, SignIn
from accounts.models.account import TESTNET, Account, Credentials, LiveApproval
from accounts.models.alerts import Alert, AlertChannel, AlertDelivery
from accounts.models.backups import Backup
from accounts.models.bot import Bot
from accounts.models.limits import RiskLimits
from accounts.models.people import Role, User, UserManager
from accounts.models.record import AuditEntry, Incident

__all__ = [
    "TESTNET",
    "Account",
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "ApiKey",
    "AuditEntry",
    "Backup",
    "Bot",
    "Credentials",
    "IdempotentCall",
    "Incident",
    "Job",
    "LiveApproval",
    "RiskLimits",
    "Role",
    "SecondFactor",
    "SignIn",
    "User",
    "UserManager",
]
