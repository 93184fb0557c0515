"""What a person enters to get in, and about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import ApiKey, User

EXPIRES: Final = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "never"))
NEW_PASSWORD: Final = forms.PasswordInput(attrs={"autocomplete": "new-password"})
LONGEST_PASSWORD: Final = 4096
TWICE: Final = "The two passwords are not the same."


class SignInForm(forms.Form):
    # The address in whatever form: whether it is one, and whether it is known, is answered alike.
    username = forms.CharField(label="E-mail", max_length=254)
    password = forms.CharField(label="Password", max_length=LONGEST_PASSWORD, strip=False)


class AddressForm(forms.Form):
    email = forms.EmailField(
        label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )


class TwiceForm(forms.Form):
    """A new password, typed twice."""

    password = forms.CharField(label="New password", max_length=LONGEST_PASSWORD, strip=False, widget=NEW_PASSWORD)
    again = forms.CharField(label="The same again", max_length=LONGEST_PASSWORD, strip=False, widget=NEW_PASSWORD)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "password" in given and "again" in given and given["password"] != given["again"]:
            self.add_error("again", TWICE)
        return given


class RegisterForm(TwiceForm, AddressForm):
    field_order = ("email", "password", "again")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].label = "Password"


class ChangePasswordForm(TwiceForm):
    field_order = ("old", "password", "again")
    old = forms.CharField(
        label="Old password",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


class TimeZoneForm(forms.Form):
    time_zone = forms.ChoiceField(label="Time zone")

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        kwargs["initial"] = {"time_zone": person.time_zone}
        super().__init__(*args, **kwargs)
        self.fields["time_zone"] = forms.ChoiceField(
            label="Time zone", choices=[(name, name) for name in sorted({*_zones(), person.time_zone})]
        )


class KeyForm(forms.Form):
    name = forms.CharField(label="What it is for", max_length=60)
    scopes = forms.MultipleChoiceField(
        label="What it may do besides reading",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[
            ("trade", "trade: start and stop bots, close, approve"),
            ("admin", "admin: accounts, bots, limits, keys"),
        ],
    )
    days = forms.ChoiceField(label="Works for", required=False, choices=EXPIRES, initial="90")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError("Use letters, digits and signs only.")
        return name

    @property
    def expires(self) -> datetime | None:
        """When the key ends; None for never. Only of a form without errors."""
        days = self.cleaned_data["days"]
        return datetime.now(UTC) + timedelta(days=int(days)) if days else None

    @property
    def all_scopes(self) -> list[str]:
        return [ApiKey.Scope.READ.value, *self.cleaned_data["scopes"]]


@cache
def _zones() -> tuple[str, ...]:
    """Return the names of zones that people know: continent and city, and UTC."""
    return tuple(name for name in available_timezones() if name == "UTC" or _is_place(name))


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(("Etc/", "SystemV/", "US/", "posix/", "right/"))
