"""Nobody waits for an exchange or a model that hangs: every acting call is answered within 5 s, a halt is latched at once.

What was begun goes on behind the answers, and comes to its end once the exchange answers again.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.access import jobs as access
from accounts.models import Account, Bot, Job
from accounts.services import jobs
from decisions.services import prompt_template_install
from decisions.tests.llm_server import model_server, stays_silent
from trading.models import Order, Position
from trading.tests.builders import make_trader
from trading.tests.live_kit import BUY, LiveHouse, live_house
from vibex.lib.clock import Deadline

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
ANSWERED: float = 5.0
"""Seconds within which every route answers."""
OVERHEAD: float = 2.0
"""What of it is not waiting for the job."""
HANGS: float = 5.0
"""Seconds for which the exchange sits on each request: longer than an answer may take."""
OF_NO_EXCHANGE = ("auth/", "backtests/")
BODIES: dict[str, dict[str, Any]] = {
    "stop": {"price": "98500"},
    "target": {"price": "105000"},
    "resume": {"reason": "x"},
}


@pytest.fixture
def house(monkeypatch, client) -> Iterator[LiveHouse]:
    """A long of 0.02 with stop and target on a testnet, and its owner at the API."""
    with live_house(monkeypatch, sleep=time.sleep) as made:
        made.cycle(BUY)
        make_trader(made.account.owner)
        client.force_login(made.account.owner)
        yield made
        made.served.control.clear()
        patience = Deadline(20)
        for one in list(jobs._at_work.values()):
            assert one.done.wait(patience.left()), "a job did not end"


def acting_addresses() -> Iterator[tuple[str, str]]:
    """Yield every address of the API that takes a POST, as pattern, with the name of what it does."""

    def walk(resolver: URLResolver, before: str) -> Iterator[tuple[str, str]]:
        for each in resolver.url_patterns:
            path = before + str(each.pattern)
            if isinstance(each, URLResolver):
                yield from walk(each, path)
            elif isinstance(each, URLPattern) and path.startswith("api/v1/") and posts(each.callback):
                plain = re.sub(r"\\Z|[\^$]", "", path)
                if plain.endswith("/") and not plain.removeprefix("api/v1/").startswith(OF_NO_EXCHANGE):
                    yield plain, plain.rstrip("/").rpartition("/")[2]

    yield from walk(get_resolver(), "")


def posts(callback: Any) -> bool:
    actions = getattr(callback, "actions", None)
    return "post" in actions if actions else hasattr(getattr(callback, "cls", None), "post")


def with_ids(pattern: str, house: LiveHouse) -> str:
    """Fill the ids of what the house has into an address."""
    rows = {
        "accounts": house.account.pk,
        "bots": house.bot.pk,
        "positions": Position.objects.latest("pk").pk,
        "orders": Order.objects.filter(role="target").latest("pk").pk,
    }
    kind = pattern.removeprefix("api/v1/").partition("/")[0]
    return "/" + re.sub(r"<[^>]*>|\(\?P<[^>]*>[^)]*\)", str(rows.get(kind, 1)), pattern)


def test_every_acting_address_answers_in_time_whatever_the_exchange_does(house, client, monkeypatch):
    assert access.WAIT + OVERHEAD <= ANSWERED
    monkeypatch.setattr(access, "WAIT", 0.3)  # so that the test takes a tenth of the time
    addresses = sorted(acting_addresses(), key=lambda one: one[1] in ("halt", "resume"))
    assert {"close", "stop", "target", "cancel", "check", "reconcile", "halt", "cycle"} <= {
        name for _, name in addresses
    }
    house.fault("delay", count=None, seconds=HANGS)
    told = {}
    for pattern, name in addresses:
        began = time.monotonic()
        answer = client.post(with_ids(pattern, house), BODIES.get(name, {}), content_type="application/json")
        took = time.monotonic() - began
        told[pattern] = (answer.status_code, round(took, 1))
        assert took < access.WAIT + OVERHEAD, (pattern, took)
        assert answer.status_code < 500 or answer.status_code == 503, (pattern, answer.content)
        if answer.status_code == 202:
            assert client.get(answer["Location"]).json()["status"] == "running"
    assert Account.objects.get(pk=house.account.pk).state == "halted"
    running = {job.kind for job in Job.objects.all()}
    assert {"close", "check", "reconcile", "halt"} <= running, told


def test_a_halt_is_latched_at_once_while_the_exchange_hangs_and_proved_when_it_answers_again(house, client):
    house.fault("delay", count=None, seconds=HANGS)
    address, began = f"/api/v1/accounts/{house.account.pk}/halt/", time.monotonic()
    answer = client.post(address, {}, content_type="application/json", headers={"Prefer": "respond-async"})
    assert time.monotonic() - began < 1.0
    assert (answer.status_code, Account.objects.get(pk=house.account.pk).state) == (202, "halted")
    assert "latched" in answer.json()["progress"][0]["text"]
    house.served.control.clear()
    job = ended(client, answer["Location"])
    assert (job["status"], job["result"]["flat"]) == ("done", True), job
    assert house.held() == 0


def test_a_close_goes_on_behind_the_answer_until_the_exchange_shows_it_flat(house, client):
    house.fault("delay", count=None, seconds=HANGS)
    answer = client.post(f"/api/v1/positions/{Position.objects.get().pk}/close/", content_type="application/json")
    assert answer.status_code == 202
    again = client.post(f"/api/v1/positions/{Position.objects.get().pk}/close/", content_type="application/json")
    assert again["Location"] == answer["Location"], "a second click begins nothing anew"
    house.served.control.clear()
    job = ended(client, answer["Location"])
    assert (job["status"], job["result"]["position"]["open"]) == ("done", False), job
    assert (house.held(), house.sent_twice()) == (0, [])


def test_a_model_that_hangs_holds_up_no_answer(house, client, monkeypatch):
    prompt_template_install()
    importlib.import_module("openai")  # as a server has at its second question
    with model_server(stays_silent(20)) as server:
        monkeypatch.setattr(settings, "LLM_BASE_URL", server.url)
        Bot.objects.filter(pk=house.bot.pk).update(model="local/slow", deadline_seconds=5)
        began = time.monotonic()
        answer = client.post(f"/api/v1/bots/{house.bot.pk}/cycle/", content_type="application/json")
        assert (answer.status_code, time.monotonic() - began < ANSWERED) == (202, True)
        job = ended(client, answer["Location"])
    assert job["status"] in ("done", "failed"), job
    assert server.requests, "it was asked"


def ended(client: Any, address: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    patience = Deadline(20)
    while (job := client.get(address).json())["status"] == "running":
        assert not patience.passed(), job
        time.sleep(0.1)
    return job
