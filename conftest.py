"""What all tests share: what they may need from outside, and that CI never skips for the lack of it."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

POSTGRES_URL = "postgres://postgres@127.0.0.1:5432/postgres"
REDIS_URL = "redis://127.0.0.1:6379/0"
WITHOUT_DATA = "VIBEX_CI_WITHOUT_DATA"
"""Set to yes where CI runs without the recorded data, which is too large for the repository."""

# A busy machine is no fault of the code: no unit test is timed.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


# TRUNCATE makes new files for every table and index: a second and more after each of a thousand tests. Most tables are
# empty, so that deleting takes a hundredth of it. Constraints wait meanwhile, as TRUNCATE's CASCADE would see to.
TRUNCATE = DatabaseOperations.sql_flush
KEPT = ("django_content_type", "auth_permission")
"""Django would make them anew at once, the same."""


def _delete(
    self: DatabaseOperations,
    style: Any,
    tables: Sequence[str],
    *,
    reset_sequences: bool = False,
    allow_cascade: bool = False,
) -> list[str]:
    if reset_sequences or not tables:
        return TRUNCATE(self, style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
    deletes = [f"DELETE FROM {self.quote_name(table)};" for table in tables if table not in KEPT]
    return ["SET LOCAL session_replication_role = 'replica';", *deletes]


DatabaseOperations.sql_flush = _delete  # type: ignore[method-assign, assignment]


def missing(what: str, *, waived: str = "") -> None:
    """Skip the test here, fail it in CI: there, nothing may be left out in silence.

    A pipeline that cannot have it says so by the variable `waived`.
    """
    if os.environ.get("CI") and os.environ.get(waived) != "yes":
        pytest.fail(f"CI has to provide {what}", pytrace=False)
    pytest.skip(f"needs {what}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--another-database",
        action="store_true",
        help="Leave out the quick tests that touch no database: on another one they are the same again.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--another-database"):
        left_out = [item for item in items if _quick(item) and not _with_database(item)]
        config.hook.pytest_deselected(items=left_out)
        gone = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in gone]


def _quick(item: pytest.Item) -> bool:
    return not any(map(item.get_closest_marker, ("ci", "soak", "browser", "postgres", "redis")))


def _with_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(fixtures & {"db", "transactional_db"})


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        missing("PostgreSQL; set DATABASE_URL")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let go of every connection before the database is dropped: a thread that some test began may still hold one."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        connection.close()


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests write out of the working copy."""
    settings.VIBEX_DATA_DIR = tmp_path_factory.mktemp("data")
    settings.VIBEX_LOG_DIR = tmp_path_factory.mktemp("logs")


@pytest.fixture(autouse=True)
def _nothing_known_of_models() -> None:
    """Forget what a test before has read of models: a process believes it for a minute, a test has rows of its own."""
    if (catalogue := sys.modules.get("decisions.selectors.catalogue")) is not None:
        catalogue.catalogue_known().forget()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded candles and payloads (VIBEX_SHARED_DATA)."""
    folder = Path(settings.VIBEX_SHARED_DATA)
    if not (folder / "candles").is_dir():
        missing(f"the recorded data at {folder}; set VIBEX_SHARED_DATA", waived=WITHOUT_DATA)
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Return the URL of a PostgreSQL on which the test may create databases."""
    import psycopg

    url = os.environ.get("CI_POSTGRES_URL", POSTGRES_URL)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        missing("a running PostgreSQL; set CI_POSTGRES_URL")
    return url


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the URL of a running Redis."""
    import redis

    url = os.environ.get("CI_REDIS_URL", REDIS_URL)
    try:
        redis.Redis.from_url(url, socket_connect_timeout=3).ping()
    except redis.RedisError:
        missing("a running Redis; set CI_REDIS_URL")
    return url
