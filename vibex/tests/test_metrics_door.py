"""Metrics are for who has the token, and for staff. To everybody else they are not there."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.support.demo import PASSWORD, person
from vibex.lib.env import BadEnvironment, read
from vibex.tests.metrics_kit import BEARER, TOKEN, nothing_counted, scraped, value

__all__ = ["nothing_counted"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def with_token(settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def test_the_address_is_the_one_that_prometheus_asks_by_default() -> None:
    assert reverse("metrics") == "/metrics"


@pytest.mark.usefixtures("with_token")
def test_the_token_opens_it(client: Client) -> None:
    assert value(scraped(client), "vibex_ready") == 0
    answer = client.get("/metrics", headers=BEARER)
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("with_token")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        f"Token {TOKEN}",
        "Bearer ☃",
    ],
)
def test_no_token_or_a_wrong_one_is_refused(client: Client, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert b"vibex_" not in answer.content
    assert TOKEN.encode() not in answer.content


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer None", "Bearer x"])
def test_without_a_token_in_the_settings_none_opens_it(client: Client, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code in (401, 404)
    assert b"vibex_" not in answer.content


def test_staff_reads_it_at_a_browser_and_a_trader_finds_nothing(client: Client) -> None:
    person("staff@example.com", is_staff=True)
    person("trader@example.com")
    client.login(email="trader@example.com", password=PASSWORD)
    assert client.get("/metrics").status_code == 404
    client.login(email="staff@example.com", password=PASSWORD)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"vibex_ready" in answer.content


@pytest.mark.usefixtures("with_token")
def test_it_is_only_read(client: Client) -> None:
    assert client.post("/metrics", headers=BEARER).status_code == 405


def test_a_short_token_stops_the_start(tmp_path) -> None:
    with pytest.raises(BadEnvironment, match="METRICS_TOKEN"):
        read(tmp_path, {"METRICS_TOKEN": "short"})
