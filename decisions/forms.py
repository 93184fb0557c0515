"""What a person may enter as a version of a prompt, or as a text from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from decisions.models import OutsideText, PromptTemplate
from decisions.services import prompt_template_check
from decisions.services.templates import prompt_template_newest
from vibex.lib.errors import Rejected

LONGEST: Final = 40_000
"""Characters of a template: about ten times what comes with the house."""


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """The next version of a template: everything that would keep a bot from asking with it is refused here, at its field."""

    text = forms.CharField(
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 30, "spellcheck": "false"}),
        help_text="Two parts, divided by the line === user ===, with $placeholders.",
    )

    class Meta:
        model = PromptTemplate
        fields = ("name", "text", "note")

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        try:
            prompt_template_check(text)
        except Rejected as broken:
            raise ValidationError(str(broken)) from broken
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        newest = prompt_template_newest(cleaned.get("name", ""))
        if newest is not None and newest.text == cleaned.get("text"):
            self.add_error("text", f"This is the text of {newest}: there is nothing new in it.")
        return cleaned


class OutsideTextForm(forms.ModelForm):  # type: ignore[type-arg]
    """A text from outside for one bot."""

    class Meta:
        model = OutsideText
        fields = ("bot", "source", "text", "until")

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError("It would be over before it is shown: choose a later end.")
        return until
