"""The texts that bots send, kept as versions that are added and never changed."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.services import audit_write
from decisions.models import PromptTemplate
from vibex.lib.errors import Rejected

SEEDS: Final = Path(__file__).parent.parent / "prompts"
"""Templates that come with the house, one file for each name."""
EARLIER: Final = frozenset(
    {
        "8ce9479a2491aafeaf3fdfa06c6cabc664afe76b03d6d5634f04898613280ce9",
        "2e8838bc2cb30396f949d8e7c764abdd1be8204312b35705884353cc5cb2a319",
    }
)
"""SHA-256 of seeds of earlier releases: in installations from before versions said whose they are."""
OF_THE_HOUSE: Final = "Came with Vibex."


def prompt_template_install() -> list[PromptTemplate]:
    """Add the templates that come with the house, and their next versions where a release has changed them.

    What a person added is the newest version until that person adds another: nothing follows it by itself. Returns what
    was added.
    """
    texts = {seed.stem: seed.read_text(encoding="utf-8") for seed in sorted(SEEDS.glob("*.txt"))}
    due = [(name, text) for name, text in texts.items() if _is_due(prompt_template_newest(name), text)]
    return [prompt_template_add(name=name, text=text, note=OF_THE_HOUSE, house=True) for name, text in due]


def _is_due(newest: PromptTemplate | None, text: str) -> bool:
    """Tell whether a seed is to be added behind the newest version: it differs, and that one is of the house as well."""
    if newest is None:
        return True
    of_the_house = newest.house or sha256(newest.text.encode()).hexdigest() in EARLIER
    return of_the_house and newest.text != text


def prompt_template_add(
    *, name: str, text: str, author: User | None = None, note: str = "", house: bool = False
) -> PromptTemplate:
    """Add the next version of a template, the first one for a new name.

    Raises Rejected when a placeholder is missing or unknown, or the text is that of the newest version; ValidationError
    for a name that is none, or a note that is too long.
    """
    text = _lines(text)
    prompt_template_check(text)
    newest = prompt_template_newest(name)
    if newest is not None and newest.text == text:
        raise Rejected(f"This is the text of {newest}: there is nothing new in it.", code="same_text")
    version = newest.version + 1 if newest else 1
    row = PromptTemplate(name=name, version=version, text=text, note=note, house=house, author=author)
    row.full_clean(validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            if author is not None:
                _audit(row, author)
    except IntegrityError as clash:
        raise Rejected(
            f"Somebody else added {row} at the same moment: look at it, then add yours again.", code="overtaken"
        ) from clash
    return row


def prompt_template_check(text: str) -> None:
    """Raise Rejected, which says what is wrong, unless every placeholder of a template is there and known."""
    from decisions.domain.prompt import template_parts  # loads NumPy and pydantic, which few commands need

    template_parts(_lines(text))


def prompt_template_newest(name: str) -> PromptTemplate | None:
    """Return the newest version of a template, None when there is none."""
    return PromptTemplate.objects.filter(name=name).order_by("-version").first()


def _lines(text: str) -> str:
    """Return a text with plain ends of lines: a browser sends others, and the separator is a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _audit(row: PromptTemplate, author: User) -> None:
    digest = sha256(row.text.encode()).hexdigest()
    after = {"name": row.name, "version": row.version, "note": row.note, "sha256": digest}
    audit_write(actor=author, action="prompt-template-add", obj=row, after=after)
