"""The pages of the admin by what a person wants to look at, not by which app holds the tables.

A page says where it stands by `group` of its ModelAdmin; what says nothing stands where its app does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

GROUPS: Final = ("Trading", "Decisions", "Market", "People and access", "Operations", "Paper venue")
"""In the order in which they are shown."""
OF_APP: Final[Mapping[str, str]] = {
    "trading": "Trading",
    "decisions": "Decisions",
    "marketdata": "Market",
    "accounts": "People and access",
    "auth": "People and access",
    "admin": "People and access",
    "token_blacklist": "People and access",
}
ELSE: Final = "Operations"

type Entry = dict[str, Any]
"""An app or a model as Django's admin lists it."""


def grouped(apps: Iterable[Entry], registry: Mapping[Any, Any]) -> list[Entry]:
    """Return the same models in our groups, each in the order of its `place`, then of its name."""
    found: dict[str, list[Entry]] = {name: [] for name in GROUPS}
    for app in apps:
        for model in app["models"]:
            found[_group(model["model"], registry)].append(model)
    return [_section(name, models, registry) for name, models in found.items() if models]


def anchor(name: str) -> str:
    """Return the id of a group on the index."""
    return f"group-{name.lower().replace(' ', '-')}"


def may_see(request: HttpRequest, model: Any, registry: Mapping[Any, Any]) -> bool:
    """Tell whether a person may look at the list of a model in the admin."""
    admin = registry.get(model)
    return admin is not None and bool(admin.has_view_or_change_permission(request))


def _group(model: Any, registry: Mapping[Any, Any]) -> str:
    said = getattr(registry[model], "group", "")
    return said if said in GROUPS else OF_APP.get(model._meta.app_label, ELSE)


def _section(name: str, models: list[Entry], registry: Mapping[Any, Any]) -> Entry:
    models.sort(key=lambda model: (getattr(registry[model["model"]], "place", 9), model["name"]))
    return {
        "name": name,
        "app_label": anchor(name),
        "app_url": f"{reverse('admin:index')}#{anchor(name)}",
        "has_module_perms": True,
        "models": models,
    }
