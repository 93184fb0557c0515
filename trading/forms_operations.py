"""Which lines of the log a person wants to see."""

from __future__ import annotations

from django import forms

from vibex.lib.logreading import LEVELS


class LogForm(forms.Form):
    level = forms.ChoiceField(
        choices=[(level, f"{level} and above") for level in LEVELS], required=False, initial="info", label="Level"
    )
    contains = forms.CharField(
        required=False, max_length=200, label="Contains", widget=forms.TextInput(attrs={"type": "search"})
    )
