"""Single looks at the installation. `health` asks four of them, `doctor` all.

A look returns what it saw. It may raise: who looks turns that into something that is not right.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Account
from marketdata.models import Feed
from trading.selectors.hearing import hearing_of
from trading.services.periodic import HEARTBEAT
from trading.services.watchers import BACKUP_LIMIT
from vibex.backup import last_success

HEARTBEAT_LIMIT: Final = 60.0
"""Seconds since a worker last ran the heartbeat that beat sends every 10 s."""
FEED_LIMIT: Final = 60.0
"""Seconds since a market last wrote its prices."""
DISK_LIMIT_MB: Final = 100
"""Less room than this in the data folder, and the next candle or decision may not fit."""
DISK_WARN_MB: Final = 1_000
CONNECT_SECONDS: Final = 4
LISTEN: Final = "Check the keys and the network; with several processes one of them is manage.py user_streams."
START: Final = "Start Vibex with `make up`; with several processes see docs/operations.md."
MIGRATE: Final = "uv run manage.py migrate (`make up` does it by itself)"

OWN_LINES: Final = {"vibex.E002", "vibex.W001"}
"""System checks of the folders, which have lines of their own."""
A_CHOICE: Final = {"security.W021"}
"""Whether a host goes into the browsers' own lists is for its owner to decide, and hard to take back."""

type State = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right. `detail` says what is, for a person."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Line:
    """What one look of the doctor saw. Whatever is not right has a remedy: a command, or a setting."""

    name: str
    state: State
    detail: str
    remedy: str = ""


# -- what health wants too --------------------------------------------------------------------------------


def database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check("database", True, f"{connection.vendor} answers")


def scheduler() -> Check:
    row = PeriodicTask.objects.filter(name=HEARTBEAT).values_list("last_run_at", flat=True).first()
    return _age("scheduler", "the last task ran", row, HEARTBEAT_LIMIT)


def market() -> Check:
    feeds = list(Feed.objects.filter(running=True))
    if not feeds:
        return Check("market", False, "no market is running")
    looked = [_age("market", f"{feed} was written", feed.heartbeat, FEED_LIMIT) for feed in feeds]
    details = "; ".join(
        f"{check.detail} ({feed.problem})" if feed.problem else check.detail
        for check, feed in zip(looked, feeds, strict=True)
    )
    return Check("market", all(check.ok for check in looked), details)


def disk() -> Check:
    folder = Path(settings.VIBEX_DATA_DIR)
    if connection.vendor != "sqlite":  # then nothing may have been written there yet
        folder = _nearest(folder)
    free = _free_mb(folder)
    return Check("disk", free >= DISK_LIMIT_MB, f"{free} MB free in the data folder")


def backup() -> Check:
    """Tell how old the newest backup is. For `ready` it does not matter: what trades goes on trading without one."""
    newest = last_success()
    if not settings.BACKUP_HOURLY:
        return Check("backup", True, "none are made by themselves (BACKUP_HOURLY=no)")
    if newest is None:
        return Check("backup", False, "there is none yet")
    return _age("backup", "the newest was made", newest, BACKUP_LIMIT.total_seconds())


def _age(name: str, what: str, at: datetime | None, limit: float) -> Check:
    if at is None:
        return Check(name, False, f"{what}: never")
    age = (timezone.now() - at).total_seconds()
    return Check(name, age <= limit, f"{what} {max(0.0, age):.0f} s ago")


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _free_mb(folder: Path) -> int:
    return int(shutil.disk_usage(folder).free // 2**20)


# -- the installation, for the doctor ---------------------------------------------------------------------


def settings_lines() -> Iterator[Line]:
    """Yield what Django's and Vibex's system checks find; in production those of a deployment too."""
    from django.core.checks import WARNING, run_checks

    found = run_checks(include_deployment_checks=settings.VIBEX_ENV == "prod")
    heavy = [each for each in found if each.level >= WARNING and each.id not in OWN_LINES | A_CHOICE]
    if not heavy:
        yield Line("settings", "ok", f"{settings.VIBEX_ENV}; no system check complains")
    for message in heavy:
        state: State = "fail" if message.is_serious() else "warn"
        yield Line(
            "settings", state, f"{message.msg} ({message.id})", message.hint or "uv run manage.py check --deploy"
        )


def transport_lines() -> Iterator[Line]:
    """Yield what carries the requests of AsterDEX accounts."""
    if settings.ASTERDEX_TRANSPORT != "connector":
        yield Line("aster requests", "info", "carried by Vibex itself")
        return
    from trading.exchange.aster.connector import connector_problem

    if problem := connector_problem():
        yield Line("aster requests", "fail", "aster-connector-python cannot be used", problem)
    else:
        yield Line(
            "aster requests", "info", "with key and secret: carried by aster-connector-python; V3: by Vibex itself"
        )


def folder_lines() -> Iterator[Line]:
    """Yield whether data and log folder can be written, and how much room there is."""
    from vibex import checks

    yield _folder("data folder", Path(settings.VIBEX_DATA_DIR), checks.data_folder())
    if settings.LOG_FILES == "no" or (settings.LOG_FILES == "auto" and settings.REDIS_URL):
        yield Line("log folder", "ok", "no log files are written")
    else:
        yield _folder("log folder", Path(settings.VIBEX_LOG_DIR), checks.log_folder())
    yield disk_line()


def disk_line() -> Line:
    """Return how much room there is, also before the data folder has been made."""
    free = _free_mb(_nearest(Path(settings.VIBEX_DATA_DIR)))
    state: State = "fail" if free < DISK_LIMIT_MB else "warn" if free < DISK_WARN_MB else "ok"
    remedy = "" if state == "ok" else "Free room, or set VIBEX_DATA_DIR to a folder on a larger disk."
    return Line("disk", state, f"{free} MB free in the data folder", remedy)


def database_lines() -> Iterator[Line]:
    """Yield whether the database answers and takes a write. Makes no file where there is none."""
    if _no_file():
        yield Line("database", "fail", "there is no database yet", START)
        return
    if connection.vendor == "postgresql" and connection.connection is None:
        _knock()
    database()
    version, writable = _version(), _writable()
    state: State = "ok" if writable else "fail"
    detail = f"{connection.display_name} {version}, {'writable' if writable else 'read only'}"
    yield Line("database", state, detail, "" if writable else "Point DATABASE_URL at the primary server.")


def migration_lines() -> Iterator[Line]:
    waiting = unapplied()
    if waiting:
        names = ", ".join(waiting[:3]) + (", …" if len(waiting) > 3 else "")
        yield Line("migrations", "fail", f"{len(waiting)} not applied: {names}", MIGRATE)
    else:
        yield Line("migrations", "ok", "all applied")


def unapplied() -> list[str]:
    """Return the migrations that this database still lacks, as app.name."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def timescale_lines() -> Iterator[Line]:
    """Yield whether candles are kept by TimescaleDB. Without it everything works, on a plain table."""
    if connection.vendor != "postgresql":
        yield Line("timescaledb", "info", f"not there: {connection.display_name} keeps candles in a plain table")
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        row = cursor.fetchone()
    if row is None:
        yield Line("timescaledb", "info", "not there: candles are in a plain table, which works too")
    elif row[0] is None:
        yield Line("timescaledb", "info", f"{row[1]} is offered, but not used by this database")
    else:
        yield Line("timescaledb", "ok", f"{row[0]}, candles are {'in a hypertable' if _hypertable() else 'plain'}")


def redis_lines() -> Iterator[Line]:
    if not settings.REDIS_URL:
        yield Line("redis", "ok", "not wanted: everything runs in one process")
        return
    import redis

    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
    )
    try:
        client.ping()
        yield Line("redis", "ok", f"answers, version {client.info('server')['redis_version']}")
    finally:
        client.close()


def static_lines() -> Iterator[Line]:
    from django.contrib.staticfiles import finders

    from vibex.lib.errors import Rejected
    from vibex.serve import static_files_check

    try:
        static_files_check()
    except Rejected as fault:
        yield Line("static files", "fail", str(fault), "uv run manage.py collectstatic")
        return
    lost = [name for name in ("vibex.css", "plotly/plotly.min.js") if finders.find(name) is None]
    if lost:
        yield Line("static files", "fail", f"missing: {', '.join(lost)}", "Install again with `make setup`.")
    else:
        yield Line("static files", "ok", "style and scripts are there")


def running_lines() -> Iterator[Line]:
    """Yield whether tasks run and a market moves."""
    for check in (scheduler(), market()):
        yield Line(check.name, "ok" if check.ok else "fail", check.detail, "" if check.ok else START)


def backup_lines() -> Iterator[Line]:
    """Yield how old the newest backup is, and whether somebody who finds it could read it."""
    check = backup()
    if not check.ok:
        yield Line("backup", "warn", check.detail, "uv run manage.py backup (each hour it is made by itself)")
    elif not (settings.BACKUP_KEY or settings.BACKUP_RECIPIENT) and settings.VIBEX_ENV == "prod":
        remedy = "Set BACKUP_RECIPIENT: `manage.py backup --new-key` makes one."
        yield Line("backup", "warn", f"{check.detail}; it is not encrypted", remedy)
    else:
        yield Line("backup", "ok", check.detail)


def hearing_lines() -> Iterator[Line]:
    """Yield whether what venues tell of live accounts is heard. Without that they are asked, every half minute."""
    for account in Account.objects.filter(mode=Account.Mode.LIVE).order_by("name"):
        hearing = hearing_of(account, now=timezone.now())
        if hearing is None or hearing.well:
            yield Line("events", "ok", f"{account.name}: what its venue tells is heard")
        elif hearing.untold:
            yield Line("events", "info", f"{account.name}: {hearing.problem}, so it is asked only")
        else:
            yield Line("events", "warn", f"{account.name}: its venue is asked only, {hearing.problem}", LISTEN)


def _folder(name: str, folder: Path, faults: list[Any]) -> Line:
    if not faults:
        return Line(name, "ok", f"{folder} can be written")
    state: State = "fail" if faults[0].is_serious() else "warn"
    return Line(name, state, str(faults[0].msg), str(faults[0].hint))


def _no_file() -> bool:
    """Tell whether the database is an SQLite file that does not exist: a look must not make it."""
    name = str(connection.settings_dict["NAME"])
    return connection.vendor == "sqlite" and "memory" not in name and not Path(name).exists()


def _knock() -> None:
    """Connect once past the pool, which would hide for 10 s why it cannot."""
    import psycopg

    known = {name: value for name, value in connection.get_connection_params().items() if name != "pool"}
    psycopg.connect(**{**known, "connect_timeout": CONNECT_SECONDS}).close()


def _version() -> str:
    statement = "SHOW server_version" if connection.vendor == "postgresql" else "SELECT sqlite_version()"
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return str(cursor.fetchone()[0])


def _writable() -> bool:
    """Tell whether rows can be written. On SQLite by writing the number that stands in the file's head again."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_read_only")
            return bool(cursor.fetchone()[0] == "off")
        cursor.execute("PRAGMA user_version")
        cursor.execute(f"PRAGMA user_version = {int(cursor.fetchone()[0])}")
    return True


def _hypertable() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = 'marketdata_candle'"
        )
        return bool(cursor.fetchone()[0])
