"""The long texts of a request, for eyes and as files: prompt, reasoning and raw reply.

What a model wrote may hold anything. What looks like a secret is masked on the way out; the stored text stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from accounts.selectors import Person
from decisions.domain.visible import content_of, indented, size_of, visible
from decisions.models import Interaction
from vibex.lib.masking import mask_text

LONGEST_SHOWN: Final = 200_000
"""Characters that a page shows of one text; a file has all of them."""
MARGIN: Final = 4_000
"""Characters behind that end which are looked at, so that no secret is cut in two and shown by its half."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text on a page."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A long text as it is shown."""

    blocks: tuple[Block, ...]
    size: str
    masked: bool
    named: bool
    """Whether characters that cannot be seen stand there by their numbers."""
    cut: bool
    """Whether only its beginning is shown."""


def interaction_to_show(person: Person, cycle_id: int, interaction_id: int) -> Interaction | None:
    """Return a request of a cycle on an account of `person`; None for any other."""
    own = Interaction.objects.filter(cycle__account__owner_id=person.pk, cycle_id=cycle_id)
    return (
        own.select_related("cycle__account", "cycle__bot")
        .defer("cycle__kept", "cycle__seen")
        .filter(pk=interaction_id)
        .first()
    )


def _prompt(row: Interaction) -> list[tuple[str, str, str]]:
    return [("system", "System", row.system_prompt), ("user", "User", row.user_prompt)]


def _reasoning(row: Interaction) -> list[tuple[str, str, str]]:
    return [("reasoning", "", row.reasoning)]


def _reply(row: Interaction) -> list[tuple[str, str, str]]:
    content = content_of(row.reply)
    laid_out = indented(content)
    found = [("reply", "As it came", row.reply)]
    if laid_out:
        found.append(("content", "Its content, laid out for reading", laid_out))
    elif content:
        found.append(("content", "Its content", content))
    return found


PARTS: Final[Mapping[str, Callable[[Interaction], list[tuple[str, str, str]]]]] = {
    "prompt": _prompt,
    "reasoning": _reasoning,
    "reply": _reply,
}


def shown(row: Interaction, part: str) -> Shown:
    """Return one of PARTS of a request for a page."""
    pieces = [piece for piece in PARTS[part](row) if piece[2]]
    begun = [(text[: LONGEST_SHOWN + MARGIN], text) for _, _, text in pieces]
    masked = [mask_text(start) for start, _ in begun]
    blocks = tuple(
        Block(name, title, visible(start[:LONGEST_SHOWN]))
        for (name, title, _), start in zip(pieces, masked, strict=True)
    )
    return Shown(
        blocks=blocks,
        size=size_of(sum(len(text) for name, _, text in pieces if name != "content")),
        masked=any(after != before for after, (before, _) in zip(masked, begun, strict=True)),
        named=any("⟦U+" in block.text for block in blocks),
        cut=any(len(text) > LONGEST_SHOWN for _, text in begun),
    )


def as_file(row: Interaction, part: str) -> str:
    """Return one of PARTS of a request as the text of a file: whole, without what looks like a secret."""
    if part == "prompt":
        return mask_text(f"{row.system_prompt}\n\n=== user ===\n\n{row.user_prompt}")
    return mask_text(row.reasoning if part == "reasoning" else row.reply)
