"""What waits, on pages and over the API: shown with what a person has to judge, answered once, and only by whom it concerns."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from accounts.models import Bot, User
from decisions.models import Approval, Cycle, Decision
from marketdata.models import Instrument, Ticker
from trading.models import EquityPoint
from trading.tests.approval_kit import BUY, NEXT, AskingHouse, asking_house, staff
from trading.tests.venue_support import BTC

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch, client) -> AskingHouse:
    made = asking_house(monkeypatch)
    rules = ("symbol", "base", "tick_size", "step_size", "min_quantity", "max_quantity", "taker_fee", "maker_fee")
    Instrument.objects.create(venue="sim", **{name: getattr(BTC, name) for name in rules})
    prices = {"last": 100_000, "bid": 99_995, "ask": 100_005, "mark": 100_000}
    Ticker.objects.create(venue="sim", symbol="BTCUSDT", at=made.clock.at, **prices)
    made.run(BUY)
    client.force_login(made.owner)
    return made


def answer(client, decision, act, **given):
    return client.post(f"/api/v1/decisions/{decision.pk}/{act}/", given, content_type="application/json")


def stranger() -> User:
    return User.objects.create_user("stranger@example.com", "correct horse battery")


def test_the_api_lists_what_waits_with_what_a_person_has_to_judge(client, house):
    (row,) = client.get("/api/v1/approvals/").json()["results"]
    loss = D(2005) + BTC.taker_fee * D(198_005) + D("0.002") * D(98_000)
    shown = {name: row[name] for name in ("symbol", "side", "quantity", "leverage", "stop", "target", "entry")}
    assert shown == {
        "symbol": "BTCUSDT", "side": "long", "quantity": "0.02", "leverage": 2, "stop": "98000", "target": "104000",
        "entry": "100005",
    }  # fmt: skip
    assert D(row["risk"]) == (loss * D("0.02")).quantize(D("0.01"))
    equity = EquityPoint.objects.latest("at").equity
    assert D(row["risk_share"]) == (loss * D("0.02") / equity).quantize(D("0.0001"))
    gain = D(3995) - BTC.taker_fee * D(204_005)
    assert D(row["reward_to_risk"]) == (gain / loss).quantize(D("0.01"))
    assert (row["justification"], row["seconds_left"]) == ("it rises", 180)


def test_the_list_takes_few_queries_however_much_waits(client, house, django_assert_num_queries):
    first = house.asked()
    for sequence in range(1, 12):
        again = Decision.objects.filter(pk=first.pk).values().get() | {"id": None, "sequence": sequence}
        Approval.objects.create(decision=Decision.objects.create(**again), until=NEXT)
    client.get("/api/v1/approvals/")  # the first request of a session makes its row
    with django_assert_num_queries(3):  # session, person, rows with prices and rules
        assert len(client.get("/api/v1/approvals/").json()["results"]) == 12


def test_without_a_price_what_follows_from_one_is_left_open(client, house):
    Ticker.objects.all().delete()
    (row,) = client.get("/api/v1/approvals/").json()["results"]
    assert (row["entry"], row["risk"], row["risk_share"], row["reward_to_risk"]) == (None, None, None, None)
    assert client.get("/approvals/").status_code == 200


def test_the_api_approves_and_answers_with_the_new_ruling_and_what_was_done(client, house):
    said = answer(client, house.asked(), "approve")
    told = said.json()["result"]
    assert (said.status_code, told["state"], told["ruling"]["verdict"]) == (200, "approved", "accepted")
    assert told["ruling"]["quantity"] == "0.02"
    assert told["done"] == [{"symbol": "BTCUSDT", "action": "buy_to_enter", "text": "long 0.02 at 100005"}]
    assert house.held() == D("0.02")


def test_the_api_says_when_risk_refuses_at_the_price_of_now(client, house):
    house.market.price = D(97_000)
    told = answer(client, house.asked(), "approve").json()["result"]
    assert (told["ruling"]["verdict"], told["done"]) == ("refused", [])
    assert "stop.side" in told["ruling"]["rules"]


def test_the_api_rejects_with_the_reason(client, house):
    said = answer(client, house.asked(), "reject", reason="no")
    assert (said.status_code, said.json()["state"], said.json()["reason"]) == (200, "rejected", "no")
    assert client.get("/api/v1/approvals/").json()["results"] == []


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_the_api_answers_a_second_time_with_a_conflict_that_says_why(client, house, act):
    answer(client, house.asked(), "approve")
    again = answer(client, house.asked(), act)
    assert (again.status_code, again.json()["code"]) == (409, "approved")
    assert "approved already" in again.json()["detail"]
    assert house.entries() == 1


def test_the_api_answers_with_a_conflict_when_it_is_too_late(client, house):
    house.clock.move_to(NEXT)
    assert client.get("/api/v1/approvals/").json()["results"] == []
    late = answer(client, house.asked(), "approve")
    assert (late.status_code, late.json()["code"]) == (409, "expired")


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_what_is_anothers_does_not_exist(client, house, act):
    for person in (stranger(), staff("clerk@example.com", may=False)):
        client.force_login(person)
        assert answer(client, house.asked(), act).status_code == 404
        assert client.post(f"/decisions/{house.asked().pk}/{act}/").status_code == 404
        assert client.get("/api/v1/approvals/").json()["results"] == []
        assert b"it rises" not in client.get("/approvals/").content
    assert house.states() == ["awaiting"]


def test_staff_with_the_permission_may_answer_for_another(client, house):
    client.force_login(staff("operator@example.com", may=True))
    assert answer(client, house.asked(), "approve").status_code == 200


def test_nobody_answers_without_signing_in_or_by_looking(client, house):
    path = f"/api/v1/decisions/{house.asked().pk}/approve/"
    assert client.get(path).status_code == 405
    assert client.get(f"/decisions/{house.asked().pk}/approve/").status_code == 405
    client.logout()
    assert client.post(path).status_code in (401, 403)
    assert client.post(f"/decisions/{house.asked().pk}/approve/").status_code == 302
    assert house.states() == ["awaiting"]


@pytest.mark.parametrize("given", [{"reason": "x" * 301}, {"reason": ["a"]}])
def test_a_reason_that_is_none_is_refused(client, house, given):
    assert answer(client, house.asked(), "reject", **given).status_code == 400
    assert house.states() == ["awaiting"]


def test_desk_list_and_decision_page_show_it_with_buttons(client, house):
    decision = house.asked()
    for path in (f"/accounts/{house.bot.account_id}/", "/approvals/", f"/cycles/{decision.cycle_id}/"):
        page = client.get(path).content.decode()
        for told in ("it rises", "0.020", "98,000.0", "104,000.0", "USDT", "of equity", "after costs", "ends <time"):
            assert told in page, (path, told)
        assert f"/decisions/{decision.pk}/approve/" in page
        assert 'name="csrfmiddlewaretoken"' in page


def test_the_desk_is_put_anew_with_it_and_hides_the_panel_when_nothing_waits(client, house):
    live = f"/accounts/{house.bot.account_id}/live/"
    assert "it rises" in client.get(live).content.decode()
    house.approve()
    panel = client.get(live).content.decode().partition('id="approvals"')[2].partition(">")[0]
    assert "hidden" in panel
    assert "hx-swap-oob" in panel


def test_a_form_without_scripts_leads_back_and_says_what_came_of_it(client, house):
    back = f"/accounts/{house.bot.account_id}/"
    given = {"next": back, "version": shown_version(client, back)}
    page = client.post(f"/decisions/{house.asked().pk}/approve/", given, follow=True)
    assert page.redirect_chain == [(back, 302)]
    assert "Approved and accepted: BTCUSDT: long 0.02 at 100005." in page.content.decode()
    again = client.post(f"/decisions/{house.asked().pk}/reject/", {"next": "https://evil.example/"}, follow=True)
    assert again.redirect_chain == [("/approvals/", 302)]
    assert "It was approved already" in again.content.decode()


def shown_version(client, path: str) -> str:
    return re.search(r'name="version" value="([^"]+)"', client.get(path).content.decode())[1]


@pytest.mark.parametrize(
    "changed", [{"quantity": "0.03"}, {"stop_loss": "97000"}, {"until": NEXT + timedelta(minutes=1)}]
)
def test_what_has_changed_since_it_was_shown_is_not_approved_and_said_as_it_is_now(client, house, changed):
    version = shown_version(client, "/approvals/")
    rows = Approval.objects if "until" in changed else Decision.objects
    rows.all().update(**changed)
    page = client.post(f"/decisions/{house.asked().pk}/approve/", {"version": version}, follow=True)
    said = page.content.decode()
    assert "it has changed since this was shown, and nothing was done" in said
    size, stop = changed.get("quantity", "0.02"), "97,000" if "stop_loss" in changed else "98,000"
    assert f"It is now {size} with a stop at {stop}, until " in said
    assert house.states() == ["awaiting"]
    assert house.entries() == 0
    client.post(f"/decisions/{house.asked().pk}/approve/", {"version": shown_version(client, "/approvals/")})
    assert house.states() == ["approved"]


def test_htmx_is_sent_back_with_what_came_of_it(client, house):
    """The answer takes seconds, in which the desk has put the panel anew: nothing is left to be swapped."""
    path, desk = f"/decisions/{house.asked().pk}/reject/", f"/accounts/{house.bot.account_id}/"
    said = client.post(path, {"next": desk, "reason": "not now"}, headers={"HX-Request": "true"})
    assert said.headers["HX-Redirect"] == desk
    assert "rejected. The bot is told why" in client.get(desk).content.decode()
    assert Approval.objects.get().reason == "not now"


def test_what_a_model_wrote_is_shown_as_text(client, house):
    Decision.objects.update(justification="<script>alert(1)</script>")
    assert b"<script>alert(1)" not in client.get("/approvals/").content


def test_the_page_of_the_cycle_says_what_became_of_it(client, house):
    path = f"/cycles/{house.asked().cycle_id}/"
    house.approve()
    page = client.get(path).content.decode()
    assert "Ruled again at the price of that moment" in page
    assert "approved by paper@example.com and ruled again" in page


def test_the_page_of_the_cycle_says_when_it_ended_before_it_was_ruled_again(client, house):
    """What a person sees after a crash between the answer and the order."""
    Approval.objects.update(state="approved", by=house.owner, at=timezone.now())
    Cycle.objects.update(status="abandoned", error="the process that ran it ended before it was done")
    page = client.get(f"/cycles/{house.asked().cycle_id}/").content.decode()
    assert "It ended before it was ruled again, and nothing was sent for it" in page
    assert "the process that ran it ended" in page


def test_of_an_unknown_answer_there_is_no_page(client, house):
    assert client.post(f"/decisions/{house.asked().pk}/perhaps/").status_code == 404


def test_what_ends_soon_is_on_top(client, house):
    first = house.asked()
    sooner = Decision.objects.create(
        **(Decision.objects.filter(pk=first.pk).values().get() | {"id": None, "sequence": 5})
    )
    Approval.objects.create(decision=sooner, until=NEXT - timedelta(seconds=30))
    rows = client.get("/api/v1/approvals/").json()["results"]
    assert [row["decision"] for row in rows] == [sooner.pk, first.pk]


def test_a_file_of_accounts_may_say_that_a_bot_asks_and_what_it_may_cost():
    from trading.services.load_accounts import accounts_load, file_check

    Instrument.objects.create(venue="sim", symbol="BTCUSDT", base="BTC", tick_size=1, step_size=1, min_quantity=1, max_quantity=9, taker_fee=0, maker_fee=0)  # fmt: skip
    asks = {"name": "asks", "symbols": ["BTCUSDT"], "interval": "3m", "approval": True, "cost_per_day": "2.5"}
    given = file_check({"accounts": [{"name": "filed", "venue": "sim", "bots": [asks]}]})
    found = accounts_load(given=given, owner=stranger(), write=True)
    bot = Bot.objects.get(name="asks")
    assert (bot.approval, bot.cost_per_day) == (True, D("2.5"))
    assert any("approval yes" in str(item) for item in found)


def test_the_form_of_a_bot_shows_the_switch_with_its_help(client):
    client.force_login(User.objects.create_superuser("boss@example.com", "correct horse battery"))
    page = client.get("/admin/accounts/bot/add/").content.decode()
    assert 'name="approval"' in page
    assert "closes never wait" in page
