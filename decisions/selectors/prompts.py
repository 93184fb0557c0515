"""The versions of the prompt templates."""

from __future__ import annotations

from decisions.models import PromptTemplate


def prompt_template_text(name: str) -> str | None:
    """Return the newest version of a template, None when there is none: no other takes its place."""
    return PromptTemplate.objects.filter(name=name).order_by("-version").values_list("text", flat=True).first()
