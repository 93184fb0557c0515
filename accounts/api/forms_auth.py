"""What calls to get in bring along, and what is told in return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from accounts.domain.access import SCOPES
from accounts.models import ApiKey, Role, SignIn
from vibex.lib.api.inputs import Form
from vibex.lib.api.query import Moment

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
    KeyModelOut = serializers.ModelSerializer[ApiKey]
    SignInModelOut = serializers.ModelSerializer[SignIn]
else:
    Out = serializers.Serializer
    KeyModelOut = SignInModelOut = serializers.ModelSerializer


def email_field() -> serializers.EmailField:
    return serializers.EmailField(max_length=254)


class SecretField(serializers.CharField):
    """A password or code: taken as it was typed, never told."""

    def __init__(self, *, longest: int = 1024, **options: Any) -> None:
        super().__init__(**{"write_only": True, "trim_whitespace": False, "max_length": longest, **options})


class RegisterIn(Form):
    email = email_field()
    password = SecretField()


class LoginIn(Form):
    email = email_field()
    password = SecretField()
    code = SecretField(
        longest=32, required=False, allow_blank=True, help_text="Of the second factor, or a recovery code."
    )


class RefreshIn(Form):
    refresh = SecretField(longest=4096)


class TokensOut(Out):
    access = serializers.CharField(help_text="`Authorization: Bearer …`")
    refresh = serializers.CharField(help_text="Counts once, for the next pair.")
    access_expires = serializers.DateTimeField()
    refresh_expires = serializers.DateTimeField()


class DetailOut(Out):
    detail = serializers.CharField()


class PasswordChangeIn(Form):
    old = SecretField()
    new = SecretField()


class PasswordResetIn(Form):
    email = email_field()


class PasswordResetConfirmIn(Form):
    uid = serializers.CharField(max_length=64, help_text="The first part of the link.")
    token = SecretField(longest=128, help_text="The second part of the link.")
    password = SecretField()


class ConfirmIn(Form):
    """The password; with a second factor in force its code instead."""

    password = SecretField(required=False, allow_blank=True)
    code = SecretField(longest=32, required=False, allow_blank=True)


class ConfirmedOut(Out):
    confirmed_until = serializers.DateTimeField()


class TicketOut(Out):
    ticket = serializers.CharField(help_text="For `?ticket=` of one stream, once.")
    expires = serializers.DateTimeField()


class AccessOut(Out):
    """How this call got in."""

    kind = serializers.ChoiceField(["session", "tokens", "key"])
    id = serializers.IntegerField(allow_null=True, help_text="Of the sign-in or key.")
    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)))
    confirmed_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then live actions are open. Null: confirm first."
    )


class MeOut(Out):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    time_zone = serializers.CharField()
    role = serializers.ChoiceField([role.value for role in Role], allow_null=True)
    rights = serializers.ListField(child=serializers.CharField())
    staff = serializers.BooleanField()
    second_factor = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()
    access = AccessOut()


class MeIn(Form):
    time_zone = serializers.CharField(max_length=64, help_text="A name like Europe/Berlin.")


class KeyOut(KeyModelOut):
    """A key of a program, without its secret."""

    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)), read_only=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            *("id", "name", "prefix", "scopes", "created", "expires", "revoked", "used", "used_from", "confirmed"),
        )
        read_only_fields = fields


class KeyMadeOut(KeyOut):
    """A key that was just made: the only time it is told."""

    key = serializers.CharField(read_only=True)

    class Meta(KeyOut.Meta):
        fields: tuple[str, ...] = (*KeyOut.Meta.fields, "key")
        read_only_fields = fields


class KeyIn(Form):
    name = serializers.CharField(max_length=60, help_text="What it is for.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(list(SCOPES)),
        allow_empty=False,
        max_length=len(SCOPES),
        help_text="read goes with each.",
    )
    expires = Moment(allow_null=True, help_text="Null or left out: never.")


class SignInOut(SignInModelOut):
    """A browser or program that is signed in."""

    current = serializers.SerializerMethodField(help_text="Whether this call came by it.")

    class Meta:
        model = SignIn
        fields = ("id", "kind", "address", "agent", "created", "seen", "confirmed", "current")
        read_only_fields = fields

    def get_current(self, row: SignIn) -> bool:
        here = getattr(self.context["request"].auth, "row", None)
        return isinstance(here, SignIn) and here.pk == row.pk


class EndedOut(Out):
    ended = serializers.IntegerField(help_text="How many were open.")


class SecondFactorOut(Out):
    in_force = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()


class EnrolmentOut(Out):
    """What an app for one-time codes needs. Told until the first code was right."""

    secret = serializers.CharField()
    uri = serializers.CharField(help_text="otpauth://…")
    svg = serializers.CharField(help_text="The URI as a QR code.")


class CodeIn(Form):
    code = SecretField(longest=32)


class RecoveryCodesOut(Out):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Each counts once. Told once.")


class RemoveIn(Form):
    password = SecretField()
    code = SecretField(longest=32)
