"""What a process asks of PostgreSQL for its sessions, by what kind of process it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vibex.lib import env
from vibex.settings.database import Kind, database, kind_of, postgres, session_limits

URL = "postgres://vibex:secret@db:5432/vibex"


NOWHERE = Path("/nonexistent")
"""No file of a developer is read."""


def environment(**values):
    return replace(env.read(NOWHERE, {}), DATABASE_URL=URL, **values)


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        ([".venv/bin/daphne", "vibex.asgi:application"], Kind.PAGES),
        (["manage.py", "web"], Kind.PAGES),
        (["manage.py", "runserver"], Kind.PAGES),
        (["/usr/bin/celery", "-A", "vibex", "worker"], Kind.WORK),
        (["/venv/lib/python3.13/site-packages/celery/__main__.py", "-A", "vibex", "worker"], Kind.WORK),
        (["/venv/lib/python3.13/site-packages/daphne/__main__.py", "vibex.asgi:application"], Kind.PAGES),
        (["manage.py", "up"], Kind.WORK),
        (["manage.py", "stream"], Kind.WORK),
        (["manage.py", "user_streams"], Kind.WORK),
        (["manage.py", "migrate"], Kind.COMMAND),
        (["manage.py", "prune"], Kind.COMMAND),
        (["manage.py"], Kind.COMMAND),
        ([], Kind.COMMAND),
    ],
)
def test_what_was_started_says_which_limits_hold(argv, kind):
    assert kind_of(argv) is kind


def test_pages_are_limited_most_and_commands_least():
    wanted = {
        Kind.PAGES: "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
        Kind.WORK: "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
        Kind.COMMAND: "-c statement_timeout=0s -c lock_timeout=10s -c idle_in_transaction_session_timeout=600s",
    }
    assert {kind: session_limits(environment(), kind) for kind in Kind} == wanted


def test_an_operator_sets_the_limits_but_never_one_on_the_statements_of_commands():
    own = environment(DATABASE_STATEMENT_SECONDS=5, DATABASE_LOCK_SECONDS=2, DATABASE_IDLE_SECONDS=7)
    assert session_limits(own, Kind.PAGES).startswith("-c statement_timeout=5s -c lock_timeout=2s")
    assert session_limits(own, Kind.COMMAND).startswith("-c statement_timeout=0s -c lock_timeout=2s")
    assert session_limits(environment(DATABASE_STATEMENT_SECONDS=0), Kind.WORK).startswith("-c statement_timeout=0s")


def test_what_the_url_says_of_the_link_goes_first_and_the_pool_has_the_size_that_was_asked_for():
    own = replace(environment(DATABASE_POOL_SIZE=7), DATABASE_URL=f"{URL}?sslmode=verify-full&keepalives_idle=5")
    options = postgres(own, Kind.PAGES)["OPTIONS"]
    assert (options["sslmode"], int(options["keepalives_idle"]), options["keepalives_count"]) == ("verify-full", 5, 3)
    assert options["pool"]["max_size"] == 7
    assert options["application_name"] == "vibex pages"


def test_without_a_url_it_is_one_file():
    found = database(replace(environment(), DATABASE_URL=None), ["manage.py", "up"])
    assert found["ENGINE"] == "django.db.backends.sqlite3"
    assert "pool" not in found["OPTIONS"]
