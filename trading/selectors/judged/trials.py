"""How many settings were tried before one was looked at: by the audit log, for the deflated Sharpe ratio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from accounts.models import AuditEntry, Bot
from decisions.domain.providers import RULES
from decisions.models import PromptTemplate
from vibex.lib.together import read_together

SETTINGS: Final = ("model", "prompt_template", "prompt_version", "symbols", "interval")
"""What makes another trial of a bot once it is changed."""
MOST: Final = 1_000_000

type Setting = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Trials:
    """How many settings were tried. `counted` by the log, `asked` by a person who knows of more."""

    counted: int
    asked: int | None = None

    @property
    def number(self) -> int:
        """The larger one: a person may add trials that were made elsewhere, and take none away."""
        return min(MOST, max(1, self.counted, self.asked or 0))

    @property
    def raised(self) -> bool:
        return self.number > max(1, self.counted)

    @property
    def words(self) -> str:
        """How they were counted."""
        one = self.counted == 1
        told = (
            f"{self.counted:,} different setting{'' if one else 's'} (model, prompt version, symbols, interval) of bots of this "
            f"owner on this market, by the audit log, whether or not {'it' if one else 'each'} decided anything"
        )
        return f"{told}; raised to {self.number:,} by who looks at it." if self.raised else f"{told}."


def trials_of(bots: Sequence[Bot], asked: int | None = None) -> Trials:
    """Return how many settings these bots were tried under. One query."""
    keys = {str(bot.pk): bot for bot in bots}
    entries = AuditEntry.objects.filter(object_type=Bot._meta.label_lower, object_id__in=list(keys))
    changes = (
        entries.filter(before__has_any_keys=list(SETTINGS)).only("object_id", "before", "at").order_by("-at", "-pk")
    )
    versions = PromptTemplate.objects.only("name", "version", "created").order_by("version")
    found = read_together(changes=changes, versions=versions)
    by_bot: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in found["changes"]:
        by_bot[entry.object_id].append(entry.before)
    created: defaultdict[str, list[tuple[int, datetime]]] = defaultdict(list)
    for each in found["versions"]:
        created[each.name].append((each.version, each.created))
    settings: set[Setting] = set()
    for key, bot in keys.items():
        settings |= _settings(bot, by_bot[key], created)
    return Trials(len(settings), asked)


def _settings(
    bot: Bot, earlier: Iterable[Mapping[str, Any]], versions: Mapping[str, Sequence[tuple[int, datetime]]]
) -> set[Setting]:
    """Return all settings that a bot had, from those of now back to the first ones."""
    now = {name: getattr(bot, name) for name in SETTINGS}
    found = _told(now, bot, versions)
    for before in earlier:
        now |= {name: before[name] for name in SETTINGS if name in before}
        found |= _told(now, bot, versions)
    return found


def _told(setting: Mapping[str, Any], bot: Bot, versions: Mapping[str, Sequence[tuple[int, datetime]]]) -> set[Setting]:
    """Return a setting as something to compare, once for each version of its prompt. Rules send none."""
    model, interval = str(setting["model"]), str(setting["interval"])
    symbols = tuple(sorted(map(str, setting["symbols"] or ())))
    if model.startswith(f"{RULES}/"):
        return {(model, symbols, interval)}
    template, version = str(setting["prompt_template"]), setting["prompt_version"]
    sent = [int(version)] if version else _newest(versions.get(template, ()), bot.created)
    return {(model, symbols, interval, template, each) for each in sent}


def _newest(versions: Sequence[tuple[int, datetime]], since: datetime) -> list[int]:
    """Return the versions that were the newest at some time since a bot was made; 0 where there is none."""
    before = [version for version, at in versions if at <= since]
    after = [version for version, at in versions if at > since]
    return [*before[-1:], *after] or [0]
