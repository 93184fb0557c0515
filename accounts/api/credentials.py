"""Keys of live accounts: they go in and never come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Face
from accounts.models import Account, Credentials
from accounts.services.credentials import credentials_delete, credentials_faults, credentials_save, make_keys
from vibex.lib.account_keys import FORMS, forms_of
from vibex.lib.api import given
from vibex.lib.api.inputs import Form

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

LONGEST: Final = 500
"""Characters of a key: more than any venue gives out."""


class KeyPartOut(Out):
    name = serializers.CharField()
    secret = serializers.BooleanField(help_text="Secret ones are never shown.")


class KeyFormOut(Out):
    kind = serializers.CharField()
    title = serializers.CharField()
    parts = KeyPartOut(many=True)


class CredentialsOut(Out):
    """What is stored: its kind and what may be shown of it. Without any the account takes its keys from variables."""

    account = serializers.IntegerField()
    stored = serializers.BooleanField()
    kind = serializers.ChoiceField(Credentials.Kind.choices, allow_null=True)
    public = serializers.DictField(
        child=serializers.CharField(allow_blank=True), help_text="Addresses, and the end of a key."
    )
    updated = serializers.DateTimeField(allow_null=True)
    accepts = KeyFormOut(many=True, help_text="Kinds of keys that its venue takes; none on paper.")


class CredentialsIn(Form):
    """Keys of one kind, whole: all the parts that `accepts` names for it, and no other."""

    kind = serializers.ChoiceField(Credentials.Kind.choices)
    user = serializers.CharField(required=False, max_length=LONGEST, help_text="Address of the main wallet.")
    signer = serializers.CharField(required=False, max_length=LONGEST, help_text="Address of the API wallet.")
    address = serializers.CharField(required=False, max_length=LONGEST, help_text="Address of the main wallet.")
    private_key = serializers.CharField(required=False, write_only=True, max_length=LONGEST)
    key = serializers.CharField(required=False, write_only=True, max_length=LONGEST)
    secret = serializers.CharField(required=False, write_only=True, max_length=LONGEST)


class CredentialsView(Face):
    """What a live account signs with. Only its owner sees even the public part."""

    acts: ClassVar = {"put": Act.MANAGE, "delete": Act.MANAGE}
    slow = True

    @extend_schema(responses=CredentialsOut)
    def get(self, request: Request, account_id: int) -> Response:
        """Say which keys are stored. What is secret is never told."""
        account = self.account(account_id, for_change=False)
        if account.owner_id != self.person.pk:
            raise PermissionDenied("Only the owner of the account sees which keys it has.")
        return Response(_told(account))

    @extend_schema(request=CredentialsIn, responses=CredentialsOut)
    def put(self, request: Request, account_id: int) -> Response:
        """Store keys, in place of those that are there. They are sealed, and used from the next call to the venue on."""
        account, parts = self.account(account_id), given(CredentialsIn, request)
        kind = parts.pop("kind")
        _refuse_faults(account, kind, parts)
        credentials_save(account=account, keys=make_keys(kind, parts), actor=self.person)
        return Response(_told(account))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, account_id: int) -> Response:
        """Take the keys out. The account then looks for them in its variables."""
        account = self.account(account_id)
        if (row := _stored(account)) is not None:
            credentials_delete(credentials=row, actor=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refuse_faults(account: Account, kind: str, parts: Mapping[str, str]) -> None:
    """Raise ValidationError for parts that are wrong, missing, or none of this kind."""
    faults = {name: f"is no part of {kind}" for name in parts if name not in {part.name for part in FORMS[kind].parts}}
    if faults := faults or credentials_faults(account, kind, parts):
        raise serializers.ValidationError({name or "kind": [_sentence(text)] for name, text in faults.items()})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _stored(account: Account) -> Credentials | None:
    return Credentials.objects.filter(account=account).first()


def _told(account: Account) -> dict[str, Any]:
    row = _stored(account)
    told = {
        "account": account.pk,
        "stored": row is not None,
        "kind": row.kind if row else None,
        "public": row.public if row else {},
        "updated": row.updated if row else None,
        "accepts": forms_of(account.venue) if account.live else [],
    }
    return dict(CredentialsOut(told).data)
