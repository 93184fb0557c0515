"""Rules, alerts and dashboards as data, and the names and labels in their expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.deploy.files import DEPLOY
from vibex.metrics.families import BY_NAME

PROMETHEUS, DASHBOARDS = DEPLOY / "prometheus", DEPLOY / "grafana" / "dashboards"
RUNBOOKS = DEPLOY.parent / "docs" / "runbooks"
PARTS = ("_bucket", "_count", "_sum")
"""What a histogram is told as."""
SERVERS_OWN = {"up", "ALERTS"}
NAME = re.compile(r"\b(?:[a-z]+:)?vibex_[a-z_]+(?::[a-z0-9_]+)?|\bup\b|\bALERTS\b")
SELECTOR = re.compile(r"\b((?:[a-z]+:)?vibex_[a-z_]+(?::[a-z0-9_]+)?)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*[=!]~?\s*\"")


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression and where it stands."""

    where: str
    text: str

    @property
    def names(self) -> set[str]:
        return set(NAME.findall(self.text))


@cache
def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted((PROMETHEUS / "rules").glob("*.yml")):
        found += yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def of_dashboards() -> Iterator[Expression]:
    """Yield what dashboards ask of Prometheus, with every account for the one that is chosen."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            if panel["datasource"]["uid"] == "prometheus":
                for target in panel["targets"]:
                    yield Expression(f"{name}: {panel['title']}", target["expr"].replace("$account", ".*"))


def expressions() -> Iterator[Expression]:
    for rule in rules():
        yield Expression(str(rule.get("alert") or rule["record"]), rule["expr"])
    yield from of_dashboards()


def family_name(name: str) -> str:
    """Return the metric that a series is of: a histogram is told as three."""
    stem = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return stem if stem in BY_NAME and BY_NAME[stem].kind == "histogram" else name
