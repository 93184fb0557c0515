"""The rules of the suite itself: skipped on a desk, failed in CI, and no way out to the network."""

import socket

import pytest
from pytest_socket import SocketConnectBlockedError

from conftest import WITHOUT_DATA, missing


def test_what_is_missing_skips_a_test_on_a_desk(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        missing("a server")


def test_what_is_missing_fails_a_test_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        missing("a server")


def test_ci_may_say_that_it_goes_without_the_recorded_data_and_without_that_alone(monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv(WITHOUT_DATA, "yes")
    with pytest.raises(pytest.skip.Exception, match="the recorded data"):
        missing("the recorded data", waived=WITHOUT_DATA)
    with pytest.raises(pytest.fail.Exception):
        missing("a server")
    monkeypatch.setenv(WITHOUT_DATA, "no")
    with pytest.raises(pytest.fail.Exception):
        missing("the recorded data", waived=WITHOUT_DATA)


def test_no_test_reaches_an_address_outside():
    with socket.socket() as outside, pytest.raises((SocketConnectBlockedError, UserWarning)):
        outside.connect(("192.0.2.1", 80))


@pytest.mark.postgres
@pytest.mark.django_db
def test_the_suite_runs_on_postgres():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL")


@pytest.mark.redis
def test_redis_answers(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
