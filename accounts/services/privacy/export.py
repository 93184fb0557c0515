"""Everything that is stored about a person, as one archive of JSON files. Secrets and their digests are not in it."""

from __future__ import annotations

import io
import json
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.services.audit import Actor, audit_write
from accounts.services.privacy.about import rows_about, tables

SECRET: Final = frozenset(
    {"password", "sealed", "digest", "recovery", "session_key", "session_data", "refresh_id", "token", "jti"}
)
"""Columns that prove who somebody is, or that are sealed. `digest` only where it is that of a key or of a call."""
DIGESTS_OF_SECRETS: Final = frozenset({"accounts.ApiKey", "accounts.IdempotentCall"})
AT_ONCE: Final = 2_000
README: Final = """What this installation of Vibex stores about {email}, as of {at}.

person.json   the person: address, time zone, role, since when
summary.json  how many rows of which table
*.json        one file for each table: a list of rows. Amounts are text, times are UTC in ISO 8601.

Not in it: passwords, keys and what is sealed; log files; backups. What is about markets and not about a person is not in
it either.
"""


def person_export(*, user: User, to: IO[bytes], actor: Actor) -> dict[str, int]:
    """Write the archive; return how many rows of each table are in it. Rows are streamed: memory stays flat."""
    audit_write(actor=actor, action="person-export", obj=user)
    counts: dict[str, int] = {}
    at = timezone.now()
    with ZipFile(to, "w", ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README.format(email=user.email, at=f"{at:%F %T} UTC"))
        archive.writestr("person.json", _json(_person(user)))
        for model in tables():
            rows = None if model is User else rows_about(model, user)
            if rows is None:
                continue
            entry = ZipInfo(f"{model._meta.label}.json", at.timetuple()[:6])
            entry.compress_type = ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                counts[model._meta.label] = _written(file, rows.values(*_columns(model)), user)
        archive.writestr("summary.json", _json({"at": at, "rows": counts}))
    return counts


def _person(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "email": user.email,
        "time_zone": user.time_zone,
        "roles": sorted(user.groups.values_list("name", flat=True)),
        "staff": user.is_staff,
        "active": user.is_active,
        "created": user.created,
        "last_login": user.last_login,
    }


def _written(file: IO[bytes], rows: QuerySet[Any, dict[str, Any]], user: User) -> int:
    text, count = io.TextIOWrapper(file, encoding="utf-8"), 0
    text.write("[")
    for row in rows.iterator(chunk_size=AT_ONCE):
        if row.get("actor_id") not in (None, user.pk) and "address" in row:
            row["address"] = None  # from where somebody else acted is about them
        text.write(f"{',' if count else ''}\n{_json(row)}")
        count += 1
    text.write("\n]\n")
    text.detach()
    return count


def _columns(model: type[Model]) -> list[str]:
    kept = SECRET if model._meta.label in DIGESTS_OF_SECRETS else SECRET - {"digest"}
    return [field.attname for field in model._meta.concrete_fields if field.attname not in kept]


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
