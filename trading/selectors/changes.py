"""Who changed what on an account: the audit trail of the account and of what belongs to it, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from accounts.domain.limit_words import KINDS, Kind, words
from accounts.models import Account, AuditEntry, Bot, RiskLimits, User

NUMBERS: Final = frozenset({Kind.SHARE, Kind.TIMES, Kind.AMOUNT, Kind.NUMBER})
A_CALL: Final = "call"
UNSAID: Final = frozenset({"id", "account"})
NOTHING: Final = "–"
ACTIONS: Final[Mapping[str, str]] = {
    "account-create": "made the account",
    "account-promote": "made the account out of a paper account",
    "account-change": "changed the account",
    "account-halt": "stopped everything",
    "account-reduce": "let it only reduce",
    "account-activate": "let it open positions again",
    "limits-create": "set its first limits",
    "limits-change": "changed the limits",
    "limits-confirm": "confirmed the limits as they are",
    "live-approve": "let it trade with real money",
    "live-revoke": "stopped real-money trading",
    "lock-lift": "lifted a lock",
    "incident-resolve": "resolved an incident",
    "credentials-save": "entered keys",
    "credentials-delete": "took keys away",
    "credentials-reseal": "sealed keys anew",
    "position-close": "closed a position",
    "position-stop": "moved the stop of a position",
    "position-target": "moved the target of a position",
    "order-cancel": "cancelled an order",
    "decision-approve": "approved a decision",
    "decision-reject": "rejected a decision",
    "outside-text-add": "showed a bot a text from outside",
    "outside-text-end": "ended a text from outside",
}
ENDINGS: Final = (
    ("create", "made"),
    ("change", "changed"),
    ("delete", "deleted"),
    ("running", "started"),
    ("paused", "paused"),
    ("stopped", "stopped"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One field: what it was and what it is, in words."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of the trail. `first`: there was nothing before, so the lines are what it began with."""

    entry: AuditEntry
    what: str
    lines: tuple[Line, ...]
    first: bool

    @property
    def who(self) -> str:
        return str(self.entry.actor) if self.entry.actor else "Vibex"


def changes_of(account: Account) -> QuerySet[AuditEntry]:
    """Return the entries about an account and all that is on it, newest first.

    That a call was made is none: what it changed has entries of its own.
    """
    return _newest(AuditEntry.objects.filter(account_id=account.pk).exclude(action=A_CALL))


def entries_seen(person: User, account_ids: Collection[int] | None) -> QuerySet[AuditEntry]:
    """Return what `person` did and what was done to the accounts `account_ids`; all entries for None, whoever did it.

    Each may be narrowed by whether it is `mine`.
    """
    entries = AuditEntry.objects.all()
    if account_ids is not None:
        entries = entries.filter(Q(actor=person) | Q(account_id__in=account_ids))
    return _newest(_with_mine(entries, person))


def entries_about(person: User, account_ids: Collection[int] | None) -> QuerySet[AuditEntry]:
    """Return those of them that may be narrowed by account and bot: not what `person` did to an account of others.

    Whoever acted on what is another's is not told whose it is.
    """
    entries = AuditEntry.objects.all()
    if account_ids is not None:
        entries = entries.filter(account_id__in=account_ids)
    return _newest(_with_mine(entries, person))


def _with_mine(entries: QuerySet[AuditEntry], person: User) -> QuerySet[AuditEntry]:
    mine = Case(When(actor=person, then=Value(True)), default=Value(False), output_field=BooleanField())
    return entries.alias(mine=mine)


def _newest(entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
    return entries.select_related("actor").order_by("-at", "-pk")


def told(entries: Sequence[AuditEntry], account: Account) -> list[Told]:
    """Return entries in words."""
    bots = {str(key): name for key, name in account.bots.values_list("pk", "name")}
    return [_told(entry, bots) for entry in entries]


def _told(entry: AuditEntry, bots: Mapping[str, str]) -> Told:
    lines = () if entry.action == "limits-confirm" else tuple(_lines(entry))
    return Told(entry, _what(entry, bots), lines, first=entry.action.endswith(("-create", "-promote")))


def _what(entry: AuditEntry, bots: Mapping[str, str]) -> str:
    if known := ACTIONS.get(entry.action):
        return known
    if entry.object_type == Bot._meta.label_lower:
        act = next((done for ending, done in ENDINGS if entry.action.endswith(ending)), entry.action.replace("-", " "))
        name = bots.get(entry.object_id) or entry.before.get("name") or entry.after.get("name") or entry.object_id
        return f"{act} the bot {name}"
    return entry.action.replace("-", " ")


def _lines(entry: AuditEntry) -> Iterator[Line]:
    for name in dict.fromkeys((*entry.before, *entry.after)):
        old, new = entry.before.get(name), entry.after.get(name)
        if name in UNSAID or old == new or (old in (None, "", []) and new in (None, "", [])):
            continue
        yield Line(
            name.removesuffix("_minutes").replace("_", " "),
            _said(entry, name, old) if name in entry.before else NOTHING,
            _said(entry, name, new) if name in entry.after else NOTHING,
        )


def _said(entry: AuditEntry, name: str, value: Any) -> str:
    if entry.object_type == RiskLimits._meta.label_lower:
        return _limit(name, value)
    if value is None or value == "" or value == "None":
        return "none"
    if isinstance(value, bool) or value in ("True", "False"):
        return "yes" if value in (True, "True") else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    return str(value)


def _limit(name: str, value: Any) -> str:
    """Return a stored limit in words; as it stands when it is none."""
    try:
        return words(name, Decimal(str(value)) if value is not None and KINDS.get(name) in NUMBERS else value)
    except (InvalidOperation, TypeError, ValueError):
        return str(value)
