"""Getting in and out: register, sign in, refresh, sign out, passwords, the confirmation for live actions, tickets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth import logout, update_session_auth_hash
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.confirm import confirmed_until
from accounts.access.persons import access_of, person_wanted
from accounts.access.tickets import SECONDS, ticket_make
from accounts.access.views import Face
from accounts.api.forms_auth import (
    ConfirmedOut,
    ConfirmIn,
    DetailOut,
    LoginIn,
    MeIn,
    MeOut,
    PasswordChangeIn,
    PasswordResetConfirmIn,
    PasswordResetIn,
    RefreshIn,
    RegisterIn,
    TicketOut,
    TokensOut,
)
from accounts.models import SignIn
from accounts.services.passwords import password_change, password_reset, password_reset_send
from accounts.services.people import person_change, person_register, sign_in_check
from accounts.services.roles import rights_of, role_of
from accounts.services.second_factor import recovery_codes_left, second_factor_in_force
from accounts.services.sign_ins import confirm, sign_in_end
from accounts.services.token_rotation import tokens_begin, tokens_refresh
from vibex.lib.api import given
from vibex.lib.errors import Rejected
from vibex.lib.requests import acting_by, address_of


class Door(Face):
    """An address for people who are not in. What else they send along, an old token or cookie, is not looked at."""

    authentication_classes = ()
    acts: ClassVar = {"post": Act.OPEN}
    way: ClassVar[str]
    """How the audit log names the way by which somebody came who was not in."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        acting_by(self.way)


class RegisterView(Door):
    way = "registration"

    @extend_schema(request=RegisterIn, responses={202: DetailOut})
    def post(self, request: Request) -> Response:
        """Register, where the installation lets people do so. An address that is known is answered alike."""
        person_register(**given(RegisterIn, request), address=address_of(request._request))
        return Response({"detail": "If the address was not known before, you can sign in now."}, status=202)


class LoginView(Door):
    way = "tokens"

    @extend_schema(request=LoginIn, responses=TokensOut)
    def post(self, request: Request) -> Response:
        """Sign in with e-mail, password and, where a second factor is in force, its code."""
        address = address_of(request._request)
        user = sign_in_check(**{"code": "", **given(LoginIn, request)}, address=address)
        tokens = tokens_begin(user=user, address=address, agent=request.headers.get("User-Agent", ""))
        return Response(TokensOut(tokens).data)


class RefreshView(Door):
    way = "tokens"

    @extend_schema(request=RefreshIn, responses=TokensOut)
    def post(self, request: Request) -> Response:
        """Give a refresh token for the next pair. It counts once: used again after ten seconds it ends the sign-in."""
        return Response(TokensOut(tokens_refresh(**given(RefreshIn, request))).data)


class LogoutView(Face):
    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the sign-in by which this call came, its tokens or session with it."""
        person_wanted(request)
        if isinstance(row := access_of(request).row, SignIn):
            sign_in_end(sign_in=row, actor=self.person, reason="signed out")
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(Face):
    """Who you are here, and what you may do."""

    acts: ClassVar = {"patch": Act.OWN}

    @extend_schema(responses=MeOut)
    def get(self, request: Request) -> Response:
        return Response(MeOut(self._told(request)).data)

    @extend_schema(request=MeIn, responses=MeOut)
    def patch(self, request: Request) -> Response:
        """Set the zone in which times are shown to you on the pages. The API has UTC."""
        person_change(user=self.person, actor=self.person, **given(MeIn, request))
        return self.get(request)

    def _told(self, request: Request) -> dict[str, Any]:
        user, access = self.person, access_of(request)
        return {
            "id": user.pk,
            "email": user.email,
            "time_zone": user.time_zone,
            "role": role_of(user),
            "rights": rights_of(user),
            "staff": user.is_staff,
            "second_factor": second_factor_in_force(user),
            "recovery_codes_left": recovery_codes_left(user),
            "access": {
                "kind": access.kind,
                "id": access.row.pk if access.row else None,
                "scopes": sorted(access.scopes),
                "confirmed_until": confirmed_until(access, timezone.now()),
            },
        }


class PasswordChangeView(Face):
    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=PasswordChangeIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Set another password. All other sign-ins end; keys stay."""
        person_wanted(request)
        access = access_of(request)
        here = access.row if isinstance(access.row, SignIn) else None
        password_change(user=self.person, **given(PasswordChangeIn, request), actor_row=here)
        if access.kind == "session":
            update_session_auth_hash(request._request, self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetView(Door):
    way = "link"

    @extend_schema(request=PasswordResetIn, responses={202: DetailOut})
    def post(self, request: Request) -> Response:
        """Have a link mailed that sets another password. An address that nobody has is answered alike."""
        password_reset_send(**given(PasswordResetIn, request), address=address_of(request._request))
        return Response({"detail": "If somebody has this address, a link is on its way."}, status=202)


class PasswordResetConfirmView(Door):
    way = "link"

    @extend_schema(request=PasswordResetConfirmIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Set another password by the two parts of the link. All sign-ins end; keys and second factor stay."""
        password_reset(**given(PasswordResetConfirmIn, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ConfirmView(Face):
    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=ConfirmIn, responses=ConfirmedOut)
    def post(self, request: Request) -> Response:
        """Prove who you are: opens live actions by this sign-in or key for a while."""
        access, row = access_of(request), access_of(request).row
        if row is None:
            raise Rejected("This session is not on record. Sign in again.", code="signed-out")
        confirm(user=self.person, row=row, **given(ConfirmIn, request))
        return Response({"confirmed_until": confirmed_until(access, timezone.now())})


class TicketView(Face):
    acts: ClassVar = {"post": Act.OWN}
    secret_acts: ClassVar = frozenset({"post"})

    @extend_schema(request=None, responses=TicketOut)
    def post(self, request: Request) -> Response:
        """Have a ticket for one stream, for programs that cannot send a header with a handshake."""
        ticket = ticket_make(access_of(request))
        return Response(TicketOut({"ticket": ticket, "expires": timezone.now() + timedelta(seconds=SECONDS)}).data)
