"""Closing everything that is open on an account over the API: what it would close, and the doing of it."""

from __future__ import annotations

import logging
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import DatabaseError, connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face
from accounts.models import Account, User
from accounts.services.jobs import JobWork
from trading.api.orders import NothingIn
from trading.api.positions import PositionOut, position_told
from trading.models import Position
from trading.selectors.plans_positions import close_all, held_on
from vibex.lib.api import Amount, given
from vibex.lib.errors import Retryable

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

log = logging.getLogger(__name__)


class ToCloseOut(Out):
    """An open position at the present mark. `unrealised` and `share` are null where no price is known."""

    position = serializers.IntegerField(source="position.pk")
    symbol = serializers.CharField(source="position.symbol")
    side = serializers.ChoiceField(Position.Side.choices, source="position.side")
    quantity = Amount(source="position.quantity")
    entry_price = Amount(source="position.entry_price")
    mark = Amount(allow_null=True)
    worth = Amount(source="notional", help_text="Quote units at the mark; at the entry price where no mark is known.")
    unrealised = Amount(allow_null=True, help_text="Result now, in quote units, before fees.")
    share = Amount(allow_null=True, help_text="The same ÷ cost.")


class CloseAllPlanOut(Out):
    """What closing everything does, with the figures of this moment."""

    account = serializers.IntegerField()
    name = serializers.CharField()
    badge = serializers.CharField()
    says = serializers.CharField(help_text="In a sentence, as the page asks it.")
    after = serializers.CharField(help_text="What is so afterwards.")
    count = serializers.IntegerField()
    worth = Amount(help_text="Of all of them, in quote units.")
    unrealised = Amount(allow_null=True, help_text="Of all of them; null where no price is known of one.")
    positions = ToCloseOut(many=True)


class ClosedAllOut(Out):
    """What was closed, and what was to be."""

    planned = CloseAllPlanOut(
        allow_null=True, help_text="As it stood when the work began; null when it could not be read."
    )
    closed = PositionOut(many=True)


CloseAllJob = job_of(ClosedAllOut, "CloseAllJob")


class CloseAllView(Face):
    """All that is open on an account."""

    acts: ClassVar = {"post": Act.END}

    @extend_schema(responses=CloseAllPlanOut)
    def get(self, request: Request, pk: int) -> Response:
        """What closing everything would do now. Nothing is done."""
        return Response(plan_told(self.account(pk, for_change=False)))

    @extend_schema(request=NothingIn, responses={200: CloseAllJob, 202: CloseAllJob})
    def post(self, request: Request, pk: int) -> Response:
        """Close all that is open at market, reduce-only, until the exchange shows it flat.

        One that cannot be closed holds up no other: then it is 503, says which are left and why, and may be sent again.
        """
        account = self.account(pk)
        given(NothingIn, request)
        work = partial(close_all_work, account=account, actor=self.person)
        return job_answer(request, kind="close-all", account=account, asked={}, work=work)


def close_all_work(job: JobWork, *, account: Account, actor: User) -> dict[str, Any]:
    """Close what is open; return what was planned and closed. Raises Retryable when something is left, with what was closed as well."""
    from trading.services.close_all import positions_close

    planned = _planned(account)
    done = positions_close(account=account, actor=actor, tell=job.tell)
    if done.left:
        closed = ", ".join(position.symbol for position in done.closed) or "nothing"
        raise Retryable(f"Closed: {closed}. {' '.join(done.left.values())}")
    return {"planned": planned, "closed": [position_told(position) for position in done.closed]}


def plan_told(account: Account) -> dict[str, Any]:
    """Return what closing everything would do, as JSON. One query."""
    lines = held_on(account)
    plan = close_all(account, lines)
    known = [line.unrealised for line in lines if line.unrealised is not None]
    facts = {
        "account": account.pk,
        "name": account.name,
        "badge": account.badge,
        "says": plan.says,
        "after": plan.after,
    }
    facts |= {"count": len(lines), "worth": sum((line.notional for line in lines), Decimal(0)), "positions": lines}
    facts |= {"unrealised": sum(known, Decimal(0)) if len(known) == len(lines) else None}
    return dict(CloseAllPlanOut(facts).data)


def _planned(account: Account) -> dict[str, Any] | None:
    """Return the same; None where it cannot be read, which keeps nothing from being closed."""
    try:
        return plan_told(account)
    except DatabaseError:
        log.exception("what is open on account %s could not be read before it is closed", account.pk)
        connection.close_if_unusable_or_obsolete()
        return None
