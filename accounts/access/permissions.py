"""Closed by default: whoever calls is known, has the scope and the right, and the row is theirs."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Model
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.access.acts import Access, Act
from accounts.models import Account

SCOPES: Final = {Act.OWN: "read", Act.END: "trade", Act.TRADE: "trade", Act.NOTE: "trade", Act.MANAGE: "admin"}
NEEDS_RIGHT: Final = (Act.TRADE, Act.NOTE, Act.MANAGE)
"""What the role viewer may not do."""
NEEDS_CONFIRMATION: Final = (Act.TRADE, Act.MANAGE)
"""What on real money wants second factor or password first."""
NEARER: Final = ("account", "bot", "cycle", "decision", "order")
"""Names by which a row says what it belongs to, from the nearest on."""


class Closed(BasePermission):
    """Lets a call in by what its view says it does (`acts`). A change that no view has named is refused."""

    message: str | None = None
    code: str | None = None

    def has_permission(self, request: Request, view: Any) -> bool:
        act = act_of(request, view)
        if act is Act.OPEN:
            return True
        if not request.user.is_authenticated:
            return False
        if not _answered(request, view):
            return True  # 405, whoever asks
        scope = SCOPES[act] if act else "read"
        if isinstance(request.auth, Access) and scope not in request.auth.scopes:
            return self._refuse(f"This needs a key with the scope {scope}.", "scope")
        if request.method in SAFE_METHODS:
            return True
        if act is None:
            return self._refuse("Nobody has said who may do this.", "closed")
        if act in NEEDS_RIGHT and not request.user.has_perm("accounts.trade"):
            return self._refuse("Your role lets you look, and end what runs; not this.", "role")
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Only the owner acts on a row, whoever else may see it. On real money what may raise risk is confirmed first."""
        act = act_of(request, view)
        if request.method in SAFE_METHODS or act is Act.OPEN:
            return True
        if owner_id_of(obj) not in (None, request.user.pk):
            return self._refuse("You may see this; only its owner may change it.", "not-yours")
        if act in NEEDS_CONFIRMATION and (account := account_of(obj)) is not None and account.real:
            _confirmed_or_raise(request)
        return True

    def _refuse(self, message: str, code: str) -> bool:
        self.message, self.code = message, code
        return False


def act_of(request: Request, view: Any) -> Act | None:
    """Return what the call does, by the name of the view's action or its method; None when its view does not say."""
    acts = getattr(view, "acts", {})
    name = getattr(view, "action", None) or (request.method or "").lower()
    found: Act | None = acts.get(name)
    return found


def account_of(row: Model) -> Account | None:
    """Return the account that a row belongs to, itself or by what it belongs to; None for what hangs on no account."""
    if isinstance(row, Account):
        return row
    for name in NEARER:
        nearer = getattr(row, name, None)
        if isinstance(nearer, Model) and (found := account_of(nearer)) is not None:
            return found
    return None


def owner_id_of(row: Model) -> int | None:
    """Return whose a row is: the person it names, else the owner of its account; None for what belongs to nobody."""
    for name in ("user_id", "owner_id"):
        if (named := getattr(row, name, None)) is not None:
            return int(named)
    account = account_of(row)
    return account.owner_id if account else None


def _answered(request: Request, view: Any) -> bool:
    """Tell whether the view has an answer to the method at all."""
    method = (request.method or "").lower()
    return method in view.http_method_names and hasattr(view, method)


def _confirmed_or_raise(request: Request) -> None:
    from accounts.access.confirm import ConfirmationNeeded, is_confirmed

    if not (isinstance(request.auth, Access) and is_confirmed(request.auth, timezone.now())):
        raise ConfirmationNeeded
