"""Closing everything over the API: it says what it would close, closes once, leaves a trace, and nothing refuses it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError
from django.test import Client

from accounts.models import Account, AuditEntry, Job, Role, User
from accounts.services.api_keys import api_key_create
from accounts.services.jobs import job_wait, jobs_drain
from trading.api import close_all as face
from trading.services import by_hand, close_all
from trading.tests.approval_kit import AskingHouse
from trading.tests.builders import make_account
from trading.tests.page_acts_kit import house_with_a_page, position
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch, client) -> AskingHouse:
    return house_with_a_page(monkeypatch, client)


def place(account: Account) -> str:
    return f"/api/v1/accounts/{account.pk}/close-all/"


def send(client: Client, account: Account, body: object = None, **headers: str):
    given = {} if body is None else {"data": body}
    return client.post(place(account), content_type="application/json", headers=headers, **given)


# -- what it would do ----------------------------------------------------------------------------------------------------


def test_it_says_what_it_would_close_with_the_figures_of_now_and_does_nothing(client, house):
    told = client.get(place(house.account)).json()
    assert told["says"].startswith("Close BTCUSDT long, worth 2,020.00 USDT, at market")
    assert (told["account"], told["badge"], told["count"]) == (house.account.pk, "paper", 1)
    assert (told["worth"], told["unrealised"]) == ("2020", "19.9")
    (line,) = told["positions"]
    assert line == {
        "position": position().pk, "symbol": "BTCUSDT", "side": "long", "quantity": "0.02", "entry_price": "100005",
        "mark": "101000", "worth": "2020", "unrealised": "19.9", "share": line["share"],
    }  # fmt: skip
    assert 0.0099 < float(line["share"]) < 0.01
    assert float(house.held()) == 0.02
    assert not Job.objects.exists()


def test_where_no_price_is_known_the_result_is_not_known_and_the_worth_is_that_of_the_entry(client, house):
    from marketdata.models import Ticker

    Ticker.objects.all().delete()
    told = client.get(place(house.account)).json()
    assert (told["worth"], told["unrealised"]) == ("2000.1", None)
    assert (told["positions"][0]["mark"], told["positions"][0]["unrealised"]) == (None, None)


def test_with_nothing_open_it_says_so_and_closing_is_no_fault(client):
    account = make_account("flat")
    client.force_login(account.owner)
    told = client.get(place(account)).json()
    assert (told["count"], told["worth"], told["unrealised"], told["positions"]) == (0, "0", "0", [])
    assert "Nothing is open" in told["says"]
    job = send(client, account).json()
    assert (job["status"], job["result"]["closed"]) == ("done", [])


# -- doing it ------------------------------------------------------------------------------------------------------------


def test_it_closes_all_of_it_as_a_job_and_tells_what_was_planned_and_what_was_done(client, house):
    answer = send(client, house.account)
    assert answer.status_code == 200, answer.content
    job = answer.json()
    assert (job["kind"], job["status"], job["account"]) == ("close-all", "done", house.account.pk)
    assert answer["Location"] == f"/api/v1/jobs/{job['id']}/"
    assert job["result"]["planned"]["worth"] == "2020"
    (closed,) = job["result"]["closed"]
    assert (closed["symbol"], closed["open"], closed["quantity"]) == ("BTCUSDT", False, "0")
    assert house.held() == 0
    assert AuditEntry.objects.get(action="position-close").actor == house.owner
    call = AuditEntry.objects.filter(action="call").latest("pk")
    assert (call.actor, call.account_id) == (house.owner, house.account.pk)


def test_who_does_not_wait_is_sent_on_to_the_job(client, house):
    answer = send(client, house.account, Prefer="respond-async")
    assert answer.status_code in (200, 202)
    assert answer["Location"].startswith("/api/v1/jobs/")
    assert job_wait(Job.objects.get(kind="close-all"), 60).ended, "the next test has tables of its own"
    assert jobs_drain(30)


def test_the_same_call_sent_twice_is_answered_as_before_and_closes_once(client, house):
    first, second = (send(client, house.account, **{"Idempotency-Key": "all-of-it"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second["Idempotency-Replayed"] == "true"
    assert first.json() == second.json()
    assert Job.objects.filter(kind="close-all").count() == 1
    assert AuditEntry.objects.filter(action="position-close").count() == 1


def test_what_is_left_is_told_with_its_reason_and_a_problem(client, house, monkeypatch):
    def refused(position, tell):
        raise Rejected("The order is refused.")

    with monkeypatch.context() as broken:
        broken.setattr(by_hand, "_close_try", refused)
        broken.setattr(close_all, "KEEPS_AT_IT", 0)
        answer = send(client, house.account, **{"Idempotency-Key": "again"})
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert "Closed: nothing. BTCUSDT is not closed yet: The order is refused." in answer.json()["detail"]
    assert house.held() != 0
    again = send(client, house.account, **{"Idempotency-Key": "again"})
    assert (again.status_code, house.held()) == (200, 0), "what lowers risk is tried again under the same name"


def test_figures_that_cannot_be_read_hold_up_nothing(client, house, monkeypatch):
    def locked(_):
        raise DatabaseError("locked")

    monkeypatch.setattr(face, "held_on", locked)
    job = send(client, house.account).json()
    assert job["result"]["planned"] is None
    assert len(job["result"]["closed"]) == 1
    assert house.held() == 0


# -- who -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"account": 1}, {"keep_positions": True}, [1], "text"])
def test_a_body_that_could_be_meant_otherwise_closes_nothing(client, house, body):
    assert send(client, house.account, body).status_code == 400
    assert house.held() != 0


def test_anothers_account_is_not_there_and_nobody_is_let_in(client, house):
    stranger = make_account("stranger").owner
    for who, status in ((stranger, 404), (None, 401)):
        browser = Client()
        if who:
            browser.force_login(who)
        assert browser.get(place(house.account)).status_code == status
        assert send(browser, house.account).status_code == status
    assert house.held() != 0


def test_staff_that_may_see_it_does_not_close_it(client, house):
    clerk = User.objects.create_user("clerk@example.org", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_any", content_type__app_label="accounts"))
    client.force_login(clerk)
    assert client.get(place(house.account)).status_code == 200
    assert (send(client, house.account).status_code, house.held() != 0) == (403, True)


def test_a_key_needs_the_scope_that_trades_and_a_viewer_may_close(client, house):
    for scopes, status in ((["read", "admin"], 403), (["read", "trade"], 200)):
        house.owner.groups.set(Group.objects.filter(name=Role.VIEWER))
        _, text = api_key_create(user=house.owner, name=scopes[-1], scopes=scopes, expires=None, actor=house.owner)
        answer = send(Client(), house.account, Authorization=f"Api-Key {text}")
        assert answer.status_code == status, answer.content
    assert house.held() == 0


def test_on_real_money_too_nothing_stands_in_the_way_of_closing(client, house, monkeypatch):
    """As with a halt and a single close: what lowers risk never waits for a second factor."""
    paper = Account.objects.get(pk=house.account.pk)
    paper.pk, paper.name = None, "before"
    paper.save()
    Account.objects.filter(pk=house.account.pk).update(mode="live", promoted_from=paper)
    assert client.get(place(house.account)).json()["badge"] == "live"
    closed = []
    monkeypatch.setattr(by_hand, "_close_try", lambda position, tell: closed.append(position.symbol) or "asleep")
    monkeypatch.setattr(close_all, "KEEPS_AT_IT", 0)
    answer = send(client, house.account)
    assert answer.json()["code"] != "confirmation-needed"
    assert closed == ["BTCUSDT"], "it went to the exchange at once"
