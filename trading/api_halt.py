"""The emergency stop and its lifting over the API, for the accounts of the signed-in person."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account, User
from accounts.selectors import accounts_of
from trading.selectors.halts import halt_in_force
from vibex.lib.errors import NeedsOperator, Rejected, Retryable

if TYPE_CHECKING:
    from trading.services.halt import Halted

    Form = serializers.Serializer[Any]
else:
    Form = serializers.Serializer

WAIT: Final = 20.0
"""Seconds after which a caller is answered; the account is worked on all the same."""
GOES_ON: Final = "It is latched: nothing is opened. It is not flat yet; the guard goes on until it is."


class HaltIn(Form):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")
    keep_positions = serializers.BooleanField(required=False, default=False)


class ResumeIn(Form):
    reason = serializers.CharField(max_length=200)


class HaltView(APIView):
    """`GET`: the halt in force. `POST`: halt, and answer once it is proved flat or time is up. Doing it twice is harmless."""

    def get(self, request: Request, pk: int) -> Response:
        from trading.services.halt import report_of

        account = _own(request, pk)
        halt = halt_in_force(account)
        return Response(_told(account, report_of(halt, account) if halt else None))

    def post(self, request: Request, pk: int) -> Response:
        from trading.services.halt_all import accounts_halt

        account, given = _own(request, pk), _given(HaltIn, request)
        (done,) = accounts_halt(accounts=[account], actor=cast("User", request.user), wait=WAIT, **given)
        return Response(_told(account, done))


class ResumeView(APIView):
    """`POST`: let an account open positions again."""

    def post(self, request: Request, pk: int) -> Response:
        from trading.services.resume import account_resume

        account, given = _own(request, pk), _given(ResumeIn, request)
        try:
            account_resume(account=account, actor=cast("User", request.user), reason=given["reason"])
        except Rejected as refusal:
            if refusal.code == "permission":
                raise PermissionDenied(str(refusal)) from refusal
            return Response({"detail": str(refusal), "code": refusal.code}, status=status.HTTP_409_CONFLICT)
        except NeedsOperator as held:
            return Response({"detail": str(held), "code": "needs-operator"}, status=status.HTTP_409_CONFLICT)
        except Retryable as fault:
            text = f"Books and exchange could not be compared: {fault}"
            answer = {"detail": text, "code": "unavailable"}
            return Response(answer, status=status.HTTP_503_SERVICE_UNAVAILABLE, headers={"Retry-After": "10"})
        account.refresh_from_db()
        return Response(_told(account, None))


def _own(request: Request, pk: int) -> Account:
    return get_object_or_404(accounts_of(request.user).select_related("limits"), pk=pk)


def _given(form: type[Form], request: Request) -> dict[str, Any]:
    """Return what was asked for. A name that is not known is refused: a misspelt one must not be taken for its default."""
    reading = form(data=request.data)
    unknown = sorted(set(request.data) - set(reading.fields)) if hasattr(request.data, "keys") else []
    if unknown:
        known = ", ".join(reading.fields)
        raise ValidationError({name: [f"There is no such field. Use: {known}."] for name in unknown})
    reading.is_valid(raise_exception=True)
    return dict(reading.validated_data)


def _told(account: Account, done: Halted | None) -> dict[str, Any]:
    told: dict[str, Any] = {"account": account.pk, "name": account.name, "badge": account.badge}
    if done is None:
        return told | {"halted": account.state == Account.State.HALTED, "state": account.state}
    left_out = ("account_id", "name")
    told |= {name: value for name, value in asdict(done).items() if name not in left_out}
    return told | {
        "state": "halted" if done.halted else account.state,
        "note": "" if done.flat or not done.halted else GOES_ON,
    }
