"""What a person may enter about alerts: which to show, and where they are sent."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import validate_slug

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, AlertChannel, User
from accounts.selectors import accounts_of
from accounts.services.alerts.channels import channel_save
from vibex.lib.errors import Rejected

SEVERITIES = [(each.value, each.value) for each in Severity]
TYPES = [(each.value, each.label) for each in EventType]


class AlertFilter(forms.Form):
    """Which alerts are shown. What does not exist is an error, not "all"."""

    severity = forms.ChoiceField(choices=[("", "all"), *SEVERITIES], required=False)
    type = forms.ChoiceField(choices=[("", "all"), *TYPES], required=False, label="What")
    account = forms.ModelChoiceField(queryset=Account.objects.none(), required=False, empty_label="all")
    seen = forms.ChoiceField(choices=[("", "not acknowledged"), ("all", "all")], required=False, label="Which")

    def __init__(self, data: Any, *, person: User) -> None:
        super().__init__(data)
        self.fields["account"].queryset = accounts_of(person).order_by("name")  # type: ignore[attr-defined]

    @property
    def lookups(self) -> dict[str, Any]:
        """Return what narrows the alerts. Only of a form without errors."""
        given = {name: self.cleaned_data[name] for name in ("severity", "type", "account") if self.cleaned_data[name]}
        return given if self.cleaned_data["seen"] else {**given, "acknowledged__isnull": True}


class WriteOnly(forms.TextInput):
    """Takes what is typed and never shows it again, not even beside an error."""

    def format_value(self, value: Any) -> None:
        return None


class ChannelForm(forms.Form):
    """A way by which alerts reach a person. An empty address keeps the stored one."""

    name = forms.CharField(max_length=40, validators=[validate_slug], help_text="What you call it: phone, desk, team.")
    url = forms.CharField(
        label="Address",
        required=False,
        max_length=2000,
        widget=WriteOnly(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    min_severity = forms.ChoiceField(label="From severity", choices=SEVERITIES, initial=Severity.WARNING.value)
    per_hour = forms.IntegerField(
        label="Messages an hour",
        min_value=1,
        max_value=1000,
        initial=30,
        help_text="What is more is told in one; what is critical always leaves.",
    )
    types = forms.MultipleChoiceField(
        label="Only these events",
        choices=[choice for choice in TYPES if choice[0] != EventType.TEST.value],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all.",
    )
    enabled = forms.BooleanField(label="Switched on", required=False, initial=True)

    def __init__(self, data: Any = None, *, channel: AlertChannel | None = None) -> None:
        names = ("name", "min_severity", "per_hour", "types", "enabled")
        super().__init__(data, initial={name: getattr(channel, name) for name in names} if channel else None)
        self.channel = channel
        self.fields["url"].help_text = (
            f"Stored: {channel.shown}. Leave it empty to keep it."
            if channel
            else "For example mailto://user:password@example.com, tgram://token/chat, discord://id/token, slack://…"
        )

    def save(self, person: User) -> AlertChannel | None:
        """Store it. None, with the error beside its field, when it cannot be stored."""
        given = self.cleaned_data
        try:
            return channel_save(
                user=person,
                actor=person,
                channel=self.channel,
                **{**given, "min_severity": Severity(given["min_severity"])},
            )
        except Rejected as wrong:
            self.add_error("url" if wrong.code == "url" else None, str(wrong))
            return None
