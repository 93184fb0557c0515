"""Whether a person can be forgotten: nobody is while money of theirs is at work."""

from __future__ import annotations

from collections.abc import Iterator

from accounts.models import Account, Bot, Credentials, LiveApproval, User
from accounts.services.audit import Actor
from accounts.services.privacy import person_forget as forget
from accounts.services.privacy.forgetting import Forgotten
from trading.domain.orders import FINAL
from trading.models import Order, Position
from vibex.lib.errors import Rejected


def person_forget(*, user: User, actor: Actor) -> Forgotten:
    """Take a person out of the tables. Raises Rejected with everything that has to be done before."""
    if reasons := list(reasons_to_stay(user)):
        raise Rejected(f"{user.email} cannot be forgotten yet: {' '.join(reasons)}", code="in-play")
    return forget(user=user, actor=actor)


def reasons_to_stay(user: User) -> Iterator[str]:
    """Yield what has to be done first, each a sentence."""
    if user.is_superuser and not User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk).exists():
        yield "They are the last one who may do everything: make another operator (manage.py createsuperuser)."
    for account in Account.objects.filter(owner=user).order_by("pk"):
        yield from _of(account)


def _of(account: Account) -> Iterator[str]:
    if Bot.objects.filter(account=account).exclude(status=Bot.Status.STOPPED).exists():
        yield f"A bot of {account.name} runs or is paused: stop it."
    if held := list(Position.objects.filter(account=account, closed__isnull=True).values_list("symbol", flat=True)):
        yield f"{account.name} holds {', '.join(held)}: close it (manage.py halt {account.name})."
    elif Order.objects.filter(account=account, origin=Order.Origin.OURS).exclude(state__in=FINAL).exists():
        yield f"{account.name} has orders that have not ended: cancel them (manage.py halt {account.name})."
    if LiveApproval.objects.filter(account=account, revoked__isnull=True).exists():
        yield f"{account.name} may trade with real money: take that back first."
    if account.live and Credentials.objects.filter(account=account).exists():
        yield f"{account.name} has keys of its exchange: remove them, and revoke them there."
