"""What a person may enter as the keys of a live account. What is secret goes in and never comes out again."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet

from accounts.domain.credentials import Keys
from accounts.models import Account, Credentials
from accounts.services.credentials import credentials_faults, keys_of_row, make_keys
from vibex.lib.account_keys import FORMS, VENUES, Part, forms_of
from vibex.lib.errors import NeedsOperator
from vibex.lib.parsers import address

OF_PAPER = ("sim", "recorded")
"""Venues at which there is no money."""
LABELS = {
    "user": "Address of the main wallet",
    "signer": "Address of the API wallet",
    "address": "Address of the main wallet",
    "key": "Key",
    "secret": "Secret",
    "private_key": "Private key",
}
NEEDS = {"key": "secret", "signer": "private_key"}
"""A part that is useless with the secret of the one before it."""


class AddressInput(forms.TextInput):
    """Shows again what was entered only when it is an address: somebody may have put a secret in the wrong field."""

    def format_value(self, value: Any) -> str | None:
        try:
            return address(str(value or "").strip())
        except ValueError:
            return None


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """An account at a venue that exists."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "venue" in self.fields:
            names = [*VENUES, *OF_PAPER]
            self.fields["venue"] = forms.ChoiceField(
                choices=[(name, name) for name in names], help_text="Where prices, rules and orders are."
            )
        if "promoted_from" in self.fields:
            paper = cast("forms.ModelChoiceField[Account]", self.fields["promoted_from"])
            paper.queryset = Account.objects.filter(mode=Account.Mode.PAPER).select_related("owner")
            paper.help_text = "Of a live account: the paper account of its owner and venue."


class CredentialsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Keys of one account. An empty secret keeps the stored one, as long as the kind stays."""

    account: Account

    class Meta:
        model = Credentials
        fields = ("kind",)

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        kinds = forms_of(account.venue)
        if self.instance._state.adding:
            self.initial["kind"] = kinds[0].kind  # so that a form that nobody touched has not changed
        self.fields["kind"] = forms.ChoiceField(choices=[(form.kind, form.title) for form in kinds])
        for part in {part.name: part for form in kinds for part in form.parts}.values():
            self.fields[part.name] = self._field(part, [form.title for form in kinds if part in form.parts])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "kind" not in given:
            return given
        form = FORMS[given["kind"]]
        own = {part.name for part in form.parts}
        for name in sorted(given.keys() - own - {"kind", "account", "id", "DELETE"}):
            # An address is there from before when the kind changes; a secret was typed just now.
            if given[name] and (name in self.changed_data):
                self.add_error(name, f"This is no part of {form.title}: leave it empty.")
        parts = {name: given.get(name) or "" for name in own}
        parts = self._completed(form.kind, parts)
        if not self.errors:
            for name, wrong in credentials_faults(self.account, form.kind, parts).items():
                self.add_error(name or None, ValidationError(wrong[:1].upper() + wrong[1:].rstrip(".") + "."))
        if not self.errors:
            given["keys"] = make_keys(form.kind, parts)
        return given

    @property
    def keys(self) -> Keys:
        """Keys that were entered, completed by the stored ones. Only of a form without errors."""
        keys: Keys = self.cleaned_data["keys"]
        return keys

    def _completed(self, kind: str, parts: dict[str, str]) -> dict[str, str]:
        """Fill empty secrets with the stored ones; leave an error beside those that have to be entered."""
        missing = [part.name for part in FORMS[kind].parts if part.secret and not parts[part.name]]
        if not missing:
            return parts
        why = self._why_anew(kind, parts, missing)
        if not why:
            try:
                stored = keys_of_row(self.instance, self.account)
            except NeedsOperator:
                why = "What is stored does not open with CREDENTIALS_KEY: enter it anew."
            else:
                return parts | {name: getattr(stored, name) for name in missing}
        for name in missing:
            self.add_error(name, why)
        return parts

    def _why_anew(self, kind: str, parts: dict[str, str], missing: list[str]) -> str:
        if self.instance._state.adding:
            return "Enter it: nothing is stored yet."
        if kind != self.instance.kind:
            return "Enter it: the keys are of another kind than those stored."
        for name, secret in NEEDS.items():
            if secret in missing and name in self.changed_data and parts.get(name):
                return f"Enter it: the {LABELS[name].lower()} has changed, and what is stored belongs to the old one."
        return ""

    def _field(self, part: Part, titles: list[str]) -> forms.CharField:
        label, stored = LABELS[part.name], not self.instance._state.adding
        if not part.secret:
            shown = self.instance.public.get(part.name, "")
            return forms.CharField(
                label=label,
                required=False,
                initial=shown,
                widget=AddressInput(attrs={"autocomplete": "off", "size": 46, "spellcheck": "false"}),
                help_text=f"{', '.join(titles)}: 0x and 40 hexadecimal digits.",
            )
        keeps = " Leave it empty to keep the stored one." if stored else ""
        return forms.CharField(
            label=label,
            required=False,
            widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 46}),
            help_text=f"{', '.join(titles)}.{keeps}",
        )


class CredentialsFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """Hands the account to the form, which depends on its venue."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "account": self.instance}
