"""The second factor: begun with a secret, put in force with a first code, removed with password and code."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.persons import access_of, confirmation_wanted, person_wanted
from accounts.access.views import Face
from accounts.api.forms_auth import CodeIn, EnrolmentOut, RecoveryCodesOut, RemoveIn, SecondFactorOut
from accounts.services.second_factor import (
    recovery_codes_left,
    second_factor_begin,
    second_factor_confirm,
    second_factor_in_force,
    second_factor_remove,
)
from vibex.lib.api import given


class SecondFactorView(Face):
    acts: ClassVar = {"post": Act.OWN}
    secret_acts: ClassVar = frozenset({"post"})

    @extend_schema(responses=SecondFactorOut)
    def get(self, request: Request) -> Response:
        """Tell whether you sign in with a code, and how many recovery codes are left."""
        user = self.person
        return Response({"in_force": second_factor_in_force(user), "recovery_codes_left": recovery_codes_left(user)})

    @extend_schema(request=None, responses=EnrolmentOut)
    def post(self, request: Request) -> Response:
        """Begin: have a secret for your phone. In force after the first right code. Needs a confirmation."""
        person_wanted(request)
        confirmation_wanted(request)
        return Response(EnrolmentOut(second_factor_begin(user=self.person)).data)


class SecondFactorConfirmView(Face):
    acts: ClassVar = {"post": Act.OWN}
    secret_acts: ClassVar = frozenset({"post"})

    @extend_schema(request=CodeIn, responses=RecoveryCodesOut)
    def post(self, request: Request) -> Response:
        """Put it in force with a code of your phone; have ten recovery codes. What else was confirmed has to confirm again."""
        person_wanted(request)
        codes = second_factor_confirm(user=self.person, row=access_of(request).row, **given(CodeIn, request))
        return Response({"recovery_codes": list(codes)})


class SecondFactorRemoveView(Face):
    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=RemoveIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Remove it, with password and code."""
        person_wanted(request)
        second_factor_remove(user=self.person, actor=self.person, **given(RemoveIn, request))
        return Response(status=status.HTTP_204_NO_CONTENT)
