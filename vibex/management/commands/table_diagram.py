"""`manage.py table_diagram`: the tables and their constraints, written into docs/database.md between two markers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models
from django.db.models import F, Q

from vibex.lib.env import ROOT

type Model = type[models.Model]
type Field = models.Field[Any, Any]

PAGE: Final = ROOT / "docs" / "database.md"
BEGIN: Final = "<!-- tables: made by manage.py table_diagram -->"
END: Final = "<!-- end of tables -->"

GROUPS: Final = {
    "accounts": "Accounts",
    "marketdata": "Market data",
    "decisions": "Decisions",
    "trading": "Trading",
    "trading.models.paper": "The paper venue",
}
"""Packages and modules of models in the order of the page, and their headings; the longest name that fits counts."""

TYPES: Final = {
    "BigAutoField": "id",
    "CharField": "text",
    "SlugField": "text",
    "EmailField": "text",
    "TextField": "text",
    "DecimalField": "decimal",
    "ExactDecimalField": "decimal",
    "FloatField": "float",
    "BooleanField": "boolean",
    "DateTimeField": "time",
    "JSONField": "json",
    "GenericIPAddressField": "address",
    "DateField": "day",
    "BigIntegerField": "integer",
    "PositiveIntegerField": "integer",
    "PositiveBigIntegerField": "integer",
    "PositiveSmallIntegerField": "integer",
    "ForeignKey": "id",
    "OneToOneField": "id",
}

SIGNS: Final = {"exact": "=", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


class Command(BaseCommand):
    help = "Write the diagram of the tables and the list of their constraints into docs/database.md."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail when the page is out of step.")
        parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)

    def handle(self, **options: Any) -> None:
        page: Path = options["page"]
        text = page.read_text(encoding="utf-8")
        fresh = _between_markers(text, page)
        if options["check"]:
            if fresh != text:
                raise CommandError(f"{page.name} is out of step with the models: run manage.py table_diagram.")
            return
        page.write_text(fresh, encoding="utf-8")


def tables() -> str:
    """Return the generated part of the page: for each group of tables a diagram and its constraints."""
    return "\n\n".join(_group(heading, _models_of(module)) for module, heading in GROUPS.items())


def _between_markers(text: str, page: Path) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CommandError(f"{page.name} has lost its markers: put {BEGIN} and {END} around the place of the tables.")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _models_of(group: str) -> list[Model]:
    return [model for model in apps.get_models() if _group_of(model) == group]


def _group_of(model: Model) -> str | None:
    fitting = [name for name in GROUPS if f"{model.__module__}.".startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def _group(heading: str, members: list[Model]) -> str:
    entities = [line for model in members for line in _entity(model)]
    relations = [line for model in members for line in _relations(model)]
    rules = [f"| {model.__name__} | {rule} |" for model in members for rule in _rules(model)]
    diagram = "\n".join(["```mermaid", "erDiagram", *entities, *relations, "```"])
    listed = "\n".join(["| table | holds |", "|---|---|", *rules])
    return f"### {heading}\n\n{diagram}\n\n{listed}"


def _columns(model: Model) -> list[Field]:
    """Return the fields that are columns; a composite key is not one, its parts are."""
    return [field for field in model._meta.local_fields if field.column]


def _entity(model: Model) -> Iterator[str]:
    yield f"    {model.__name__} {{"
    yield from (f"        {_type(field)} {field.column}{_key(model, field)}" for field in _columns(model))
    yield "    }"


def _type(field: Field) -> str:
    kind = field.get_internal_type()
    try:
        return TYPES[kind]
    except KeyError:
        raise CommandError(f"{field} is a {kind}: add that to TYPES in table_diagram.py.") from None


def _key(model: Model, field: Field) -> str:
    keys = [
        name
        for name, holds in (
            ("PK", field in model._meta.pk_fields),
            ("FK", field.is_relation),
            ("UK", field.unique and not field.primary_key),
        )
        if holds
    ]
    return " " + ",".join(keys) if keys else ""


def _relations(model: Model) -> Iterator[str]:
    for field in _columns(model):
        if field.is_relation:
            one = "|o" if field.null else "||"
            many = "o|" if field.unique else "o{"
            yield f"    {_name(field.related_model)} {one}--{many} {model.__name__} : {field.name}"


def _name(model: Any) -> str:
    return model.__name__ if isinstance(model, type) else str(model)


def _rules(model: Model) -> Iterator[str]:
    """Yield what the database itself refuses to break, in words."""
    parts = model._meta.pk_fields
    if len(parts) > 1:
        yield f"one row for each {_listed(part.name for part in parts)}"
    yield from (f"`{field.name}` is unique" for field in _columns(model) if field.unique and not field.primary_key)
    yield from (_rule(constraint) for constraint in model._meta.constraints)


def _rule(constraint: models.BaseConstraint) -> str:
    if isinstance(constraint, models.UniqueConstraint):
        where = f" while {_words(constraint.condition)}" if constraint.condition else ""
        return f"one row for each {_listed(constraint.fields)}{where} (`{constraint.name}`)"
    if isinstance(constraint, models.CheckConstraint):
        return f"{_words(constraint.condition)} (`{constraint.name}`)"
    raise CommandError(f"{constraint} is of a kind that table_diagram.py cannot put into words.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _words(condition: Any) -> str:
    """Return a condition in words: `a > 0` and (`b` is empty or `b` ≤ 10)."""
    if isinstance(condition, Q):
        joined = f" {condition.connector.lower()} ".join(_part(child, condition) for child in condition.children)
        return f"not ({joined})" if condition.negated else joined
    lookup, value = condition
    name, _, kind = lookup.partition("__")
    return _comparison(name, kind or "exact", value)


def _part(child: Any, parent: Q) -> str:
    nested = isinstance(child, Q) and len(child.children) > 1 and child.connector != parent.connector
    return f"({_words(child)})" if nested else _words(child)


def _comparison(name: str, kind: str, value: Any) -> str:
    if kind == "isnull":
        return f"`{name}` is {'empty' if value else 'set'}"
    if kind == "in":
        return f"`{name}` is one of {', '.join(map(str, value))}"
    return f"`{name}` {SIGNS[kind]} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, F):
        return f"`{value.name}`"  # type: ignore[attr-defined]  # the stubs do not know it
    return str(value)
