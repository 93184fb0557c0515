"""Where a person is signed in: browsers and programs, each to be ended."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.persons import access_of, person_wanted
from accounts.access.views import Rows
from accounts.api.forms_auth import EndedOut, SignInOut
from accounts.models import SignIn
from accounts.services.sign_ins import sign_in_end, sign_ins_end, sign_ins_of
from vibex.lib.api import Filters


class SignInFilters(Filters):
    kind = serializers.ChoiceField(SignIn.Kind.choices, required=False)


class SignInViewSet(Rows[SignIn]):
    """Your open sign-ins, the last used first."""

    acts: ClassVar = {"destroy": Act.OWN, "end_others": Act.OWN}
    serializer_class = SignInOut
    filters = SignInFilters
    order = ("-seen", "-id")
    orders: ClassVar = {"seen": ("seen", "id"), "created": ("created", "id")}

    def rows(self) -> QuerySet[SignIn]:
        return sign_ins_of(self.person)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End one of them, from its next call on."""
        person_wanted(request)
        sign_in_end(sign_in=self.get_object(), actor=self.person, reason="ended by the person")
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=EndedOut)
    @action(detail=False, methods=["post"], url_path="end-others")
    def end_others(self, request: Request) -> Response:
        """End all but the one by which this call came."""
        person_wanted(request)
        here = access_of(request).row
        but = here if isinstance(here, SignIn) else None
        ended = sign_ins_end(user=self.person, actor=self.person, reason="ended by the person", but=but)
        return Response({"ended": ended})
