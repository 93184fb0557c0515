"""Keys of programs: made, listed, revoked."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.persons import access_of, confirmation_wanted, keys_wanted
from accounts.access.views import Rows
from accounts.api.forms_auth import KeyIn, KeyMadeOut, KeyOut
from accounts.models import ApiKey
from accounts.services.api_keys import api_key_create, api_key_revoke
from vibex.lib.api import Filters, given


class KeyFilters(Filters):
    open = serializers.BooleanField(required=False, source="revoked__isnull", help_text="Whether it is not revoked.")
    name = serializers.CharField(required=False)
    prefix = serializers.CharField(required=False)


class KeyViewSet(Rows[ApiKey]):
    """Your keys, the newest first."""

    acts: ClassVar = {"create": Act.OWN, "destroy": Act.OWN}
    secret_acts: ClassVar = frozenset({"create"})
    serializer_class = KeyOut
    filters = KeyFilters
    orders: ClassVar = {"created": ("created", "id")}

    def rows(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.filter(user_id=self.person.pk)

    @extend_schema(request=KeyIn, responses={201: KeyMadeOut})
    def create(self, request: Request) -> Response:
        """Make a key. It is told once. Needs a confirmation; a key makes none that may do more than itself."""
        keys_wanted(request)
        wanted = {"expires": None, **given(KeyIn, request)}
        confirmation_wanted(request)
        row, key = api_key_create(user=self.person, actor=self.person, within=access_of(request).scopes, **wanted)
        return Response({**KeyOut(row).data, "key": key}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a key, from the next call on. Its row stays, to be read in the records."""
        row = self.get_object()
        keys_wanted(request, of=row)
        api_key_revoke(key=row, actor=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)
