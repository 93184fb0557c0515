"""What keeps a row from being deleted: history is never deleted, and neither is what it refers to."""

from __future__ import annotations

from django.db.models import PROTECT, ForeignObjectRel, Model

from vibex.lib.errors import Rejected


def history_refused(row: Model, name: str, instead: str) -> None:
    """Raise Rejected that names what refers to a row and stays for good, and what to do `instead`. Nothing: say nothing."""
    found = sorted({str(rel.related_model._meta.verbose_name_plural) for rel in _kept(row) if _refers(rel, row)})
    if found:
        raise Rejected(f"{name} has {', '.join(found)}, which are never deleted. {instead}", code="history")


def _kept(row: Model) -> list[ForeignObjectRel]:
    relations = [field for field in row._meta.get_fields(include_hidden=True) if isinstance(field, ForeignObjectRel)]
    return [relation for relation in relations if relation.on_delete is PROTECT]


def _refers(relation: ForeignObjectRel, row: Model) -> bool:
    # The collector of Django would read all that refer to it before it refuses.
    return relation.related_model._default_manager.filter(**{relation.field.name: row.pk}).exists()
