"""What a call does, and what it takes to be let in. A view that changes something names it; else it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounts.models import ApiKey, SignIn


class Act(StrEnum):
    """What an acting call needs, by what it does."""

    OPEN = "open"
    """Nobody has to be signed in: sign in, register, reset a password."""
    OWN = "own"
    """A person's own things that are no money: acknowledge, sign out, change a password. Scope `read`."""
    END = "end"
    """Lowers risk: halt, close, cancel an entry, pause, stop, reject. Scope `trade`; every role, and never a confirmation."""
    TRADE = "trade"
    """May raise risk: start, decide now, approve, resume, move a stop. Scope `trade`, permission `accounts.trade`, and on
    real money a confirmation that is fresh."""
    NOTE = "note"
    """Writes on the record and moves no money: a note in a diary. Scope `trade`, permission `accounts.trade`, and never a
    confirmation."""
    MANAGE = "manage"
    """Changes accounts, bots, limits, keys. Scope `admin`, permission `accounts.trade`, and where it concerns an account
    with real money a confirmation."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a request got in (`request.auth`)."""

    kind: str
    """`session`, `tokens` or `key`."""
    scopes: frozenset[str]
    row: SignIn | ApiKey | None = None
    """What it came by; None for a session that has no row yet."""

    @property
    def confirmed(self) -> datetime | None:
        """When second factor or password were given last."""
        return self.row.confirmed if self.row else None

    @property
    def via(self) -> str:
        """How it is named in the audit log: session, tokens, key <prefix>."""
        prefix = getattr(self.row, "prefix", "")
        return f"{self.kind} {prefix}".strip()


ALL_SCOPES = frozenset({"read", "trade", "admin"})
"""Of a person who signed in; a key has those it was given."""
