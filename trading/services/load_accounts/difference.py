"""What a file of accounts changes, thing by thing and field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

type Action = Literal["create", "change", "unchanged"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: what it is, and what it is to be. What is not there yet is None."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One account, its limits, its keys or one of its bots."""

    kind: Literal["account", "limits", "keys", "bot"]
    account: str
    name: str
    action: Action
    fields: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        what = {"account": f"account {self.name}", "bot": f"bot {self.name} of {self.account}"}.get(
            self.kind, f"{self.kind} of {self.account}"
        )
        fields = ", ".join(
            f"{each.name} {each.new}" if each.old is None else f"{each.name} {each.old} → {each.new}"
            for each in self.fields
        )
        return f"{self.action:<9}  {what}" + (f": {fields}" if fields else "")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the fields of `new` that are others in `old`."""
    return tuple(Difference(name, shown(old[name]), shown(new[name])) for name in new if old[name] != new[name])


def created(values: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return all fields of something that is not there yet."""
    stated = {name: value for name, value in values.items() if value not in (None, "", []) and value is not False}
    return tuple(Difference(name, None, shown(value)) for name, value in stated.items())


def shown(value: Any) -> str:
    """Return a value as text: decimals without trailing zeros, lists with commas, yes or no, nothing as "none"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "none"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
