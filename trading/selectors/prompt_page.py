"""What the page of prompts shows: templates with their versions, and which bots of a person send which of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import Bot
from decisions.models import PromptTemplate
from decisions.selectors import prompt_templates


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a template and the bots that send it now."""

    row: PromptTemplate
    newest: bool
    pinned: tuple[Bot, ...]
    following: tuple[Bot, ...]
    """Bots that send whatever is newest."""


@dataclass(frozen=True, slots=True)
class TemplateRows:
    """A template with its versions, the newest first."""

    name: str
    versions: tuple[VersionRow, ...]
    astray: tuple[Bot, ...] = ()
    """Bots that are pinned to a version that is not there: they hold."""

    @property
    def newest(self) -> VersionRow | None:
        return self.versions[0] if self.versions else None

    def version(self, number: int) -> VersionRow | None:
        return next((one for one in self.versions if one.row.version == number), None)


def templates_with_bots(bots: Sequence[Bot]) -> list[TemplateRows]:
    """Return all templates, and those that only bots name, by name. One query."""
    rows: dict[str, list[PromptTemplate]] = {bot.prompt_template: [] for bot in bots}
    for row in prompt_templates():
        rows.setdefault(row.name, []).append(row)
    return [_template(name, versions, bots) for name, versions in sorted(rows.items())]


def _template(name: str, rows: Sequence[PromptTemplate], bots: Sequence[Bot]) -> TemplateRows:
    users = [bot for bot in bots if bot.prompt_template == name]
    known = {row.version for row in rows}
    versions = (
        VersionRow(
            row,
            newest=place == 0,
            pinned=tuple(bot for bot in users if bot.prompt_version == row.version),
            following=tuple(bot for bot in users if bot.prompt_version is None and place == 0),
        )
        for place, row in enumerate(rows)
    )
    astray = tuple(bot for bot in users if (bot.prompt_version not in known if bot.prompt_version else not known))
    return TemplateRows(name, tuple(versions), astray)
