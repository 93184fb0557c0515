"""The texts that bots send, kept as versions that are added and never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from decisions.models import PromptTemplate

SEEDS: Final = Path(__file__).parent.parent / "prompts"
"""Templates that come with the house, one file for each name."""


def prompt_template_install() -> list[PromptTemplate]:
    """Add the templates that come with the house where no version of them is there. Returns what was added."""
    known = set(PromptTemplate.objects.values_list("name", flat=True))
    missing = [seed for seed in sorted(SEEDS.glob("*.txt")) if seed.stem not in known]
    return [prompt_template_add(name=seed.stem, text=seed.read_text(encoding="utf-8")) for seed in missing]


def prompt_template_add(*, name: str, text: str) -> PromptTemplate:
    """Add the next version of a template. Raises Rejected when a placeholder is missing or unknown."""
    from decisions.domain.prompt import template_parts  # loads NumPy and pydantic, which few commands need

    template_parts(text)
    template = PromptTemplate(name=name, version=_newest_version(name) + 1, text=text)
    template.full_clean()
    template.save(force_insert=True)
    return template


def _newest_version(name: str) -> int:
    newest = PromptTemplate.objects.filter(name=name).order_by("-version").first()
    return newest.version if newest else 0
