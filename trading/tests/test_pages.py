"""The operator's pages: what they show, in every state, and what the buttons do."""

import platform
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Bot
from marketdata.models import Feed
from tests.support.demo import HOSTILE, account_of, bot_of, demo, person
from tests.support.demo_market import market
from trading.models import EquityPoint, IncomeEntry, Order, Position
from trading.selectors.standing import standing_of
from vibex.lib.variables import Features

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=4, equity_points=60)
    client.force_login(made.user)
    return made


def text_of(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def desk_of(account):
    return f"/accounts/{account.pk}/"


# -- the desk ---------------------------------------------------------------------------------------------


def test_the_desk_shows_money_positions_orders_trades_and_the_diary(client, made):
    page = text_of(client, desk_of(made.account))
    for text in ("BTCUSDT", "71,284.6", "70,190.0", "take profit market", "Ended by", "rules/trend", "ADX 14.2"):
        assert text in page


def test_results_carry_their_sign_and_prices_the_tick_of_the_exchange(client, made):
    page = text_of(client, desk_of(made.account))
    position = Position.objects.get(symbol="BTCUSDT", closed=None)
    assert f"+{(Decimal('71284.6') - position.entry_price) * position.quantity:.2f}" in page  # long and above entry
    assert "88.31" in page
    assert "88.3100" not in page


def test_equity_is_the_ledger_and_what_is_open_at_the_present_mark(client, made):
    wallet = sum(line.amount for line in IncomeEntry.objects.all())
    btc = (Decimal("71284.6") - Decimal("70866.2")) * Decimal("0.018")
    sol = (Decimal("89.14") - Decimal("88.31")) * Decimal("21.40")
    assert f"{wallet + btc + sol:,.2f}" in text_of(client, desk_of(made.account))


def test_a_stop_that_was_booked_after_the_last_point_is_in_every_figure(made):
    before = standing_of(made.account, now=made.now, rules={})
    position = Position.objects.get(symbol="BTCUSDT", closed=None)
    loss, fee = (Decimal("70190.0") - position.entry_price) * position.quantity, Decimal("-0.50536800")
    left = next(line.unrealised for line in before.positions if line.position == position)
    at = made.now - timedelta(milliseconds=1)
    for kind, amount in (("REALIZED_PNL", loss), ("COMMISSION", fee)):
        IncomeEntry.objects.create(account=made.account, kind=kind, transaction_id=f"s{kind}", amount=amount, at=at)
    Position.objects.filter(pk=position.pk).update(quantity=0, cost=0, closed=at)
    EquityPoint.objects.filter(at__gt=at).update(at=at - timedelta(seconds=30))
    after = standing_of(made.account, now=made.now, rules={})
    change = loss + fee - left
    assert change < -10
    assert after.wallet == before.wallet + loss + fee
    assert after.equity == before.equity + change
    assert (after.day, after.total) == (before.day + change, before.total + change)
    assert after.stated_at == at


def test_a_ledger_without_a_deposit_began_with_the_starting_balance():
    account, now = account_of(person()), timezone.now()
    IncomeEntry.objects.create(account=account, kind="COMMISSION", transaction_id="1", amount=-4, at=now)
    standing = standing_of(account, now=now, rules={})
    assert (standing.wallet, standing.day, standing.total) == (9_996, -4, -4)


def test_before_anything_is_in_the_ledger_the_last_point_stands_in():
    account, now = account_of(person()), timezone.now()
    assert standing_of(account, now=now, rules={}).equity is None
    EquityPoint.objects.create(account=account, at=now, wallet=9_990, unrealised=0, equity=9_990)
    standing = standing_of(account, now=now, rules={})
    assert (standing.wallet, standing.total, standing.stated_at) == (9_990, -10, now)


def test_a_deposit_is_no_result(client, made):
    before = standing_of(made.account, now=made.now, rules={})
    IncomeEntry.objects.create(
        account=made.account, kind="TRANSFER", transaction_id="t2", amount=500, at=made.now - timedelta(seconds=1)
    )
    after = standing_of(made.account, now=made.now, rules={})
    assert after.equity == before.equity + 500
    assert (after.day, after.total) == (before.day, before.total)


def test_the_first_deposit_is_the_starting_balance_and_no_result(client):
    account = account_of(person())
    now = timezone.now()
    for kind, amount in (("TRANSFER", 10_000), ("COMMISSION", -4)):
        IncomeEntry.objects.create(account=account, kind=kind, transaction_id=kind, amount=amount, at=now)
    standing = standing_of(account, now=now, rules={})
    assert (standing.day, standing.total) == (-4, -4)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"kind": "simulated", "seed": 42}, "Simulated market"),
        ({"kind": "recorded", "source": "/some/where/binance_um_2025_1h", "speed": 60}, "binance_um_2025_1h"),
        ({"kind": "live"}, "Live prices"),
    ],
)
def test_the_page_says_plainly_which_market_it_is(client, made, kind, said):
    Feed.objects.update(**kind)
    page = text_of(client, desk_of(made.account))
    assert said in page
    assert 'badge-paper">paper' in page
    assert "/some/where" not in page


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"running": False}, "The market stands still"),
        ({"heartbeat": timezone.now() - timedelta(minutes=5)}, "No new prices since"),
        ({"problem": "the recording ended"}, "the recording ended"),
    ],
)
def test_old_prices_are_said_to_be_old(client, made, state, said):
    Feed.objects.update(**state)
    assert said in text_of(client, desk_of(made.account))


def test_a_market_that_was_never_set_up_is_said_so(client):
    user = person()
    account = account_of(user, venue="nowhere")
    client.force_login(user)
    assert "no market named nowhere" in text_of(client, desk_of(account))


def test_an_empty_desk_says_what_will_come(client):
    user = person()
    market(timezone.now())
    account = account_of(user)
    bot_of(account)
    client.force_login(user)
    page = text_of(client, desk_of(account))
    for text in ("Flat: nothing is open", "No trades yet", "No decision yet", "No order is working", "0 points so far"):
        assert text in page


def test_without_an_account_the_page_says_how_to_get_one(client):
    client.force_login(person())
    assert "There is no account yet" in text_of(client, "/")


def test_a_position_without_a_working_stop_stands_out(client, made):
    Position.objects.filter(symbol="BTCUSDT", closed=None).update(bracket="arming", stop=None, protected_at=None)
    assert 'badge-warn">arming' in text_of(client, desk_of(made.account))


def test_a_symbol_without_a_price_shows_a_dash_instead_of_a_result(client, made):
    Position.objects.filter(symbol="BTCUSDT", closed=None).update(symbol="NEWUSDT")
    assert "NEWUSDT" in text_of(client, desk_of(made.account))


def test_the_failed_cycle_is_shown_with_its_step_and_error(client, made):
    last = made.cycles[-1]
    last.status, last.stage, last.error = "failed", "ask", "The model server did not answer."
    last.save()
    page = text_of(client, desk_of(made.account))
    assert "The model server did not answer." in page
    assert "at <b>ask</b>" in page


def test_the_next_decision_is_announced_while_the_bot_runs(client, made):
    assert "Next decision" in text_of(client, desk_of(made.account))
    Bot.objects.update(status="paused", status_reason="for the night")
    page = text_of(client, desk_of(made.account))
    assert "Next decision" not in page
    assert "For the night" in page


def test_times_are_shown_in_the_zone_of_the_reader(client, made):
    made.user.time_zone = "Asia/Tokyo"
    made.user.save()
    assert "JST" in text_of(client, desk_of(made.account))
    made.user.time_zone = "Middle/Earth"
    made.user.save()
    assert "UTC" in text_of(client, desk_of(made.account))


def test_the_moving_panels_come_each_for_its_own_place(client, made):
    page = text_of(client, f"/accounts/{made.account.pk}/live/")
    for panel in (
        "market",
        "strip",
        "approvals",
        "positions",
        "orders",
        "closed",
        "fills",
        "bot",
        "incidents",
        "entries",
    ):
        assert f'id="{panel}"' in page
    assert page.count("hx-swap-oob") == 10
    assert "<html" not in page


def test_a_desk_costs_a_bounded_number_of_queries(client, made, django_assert_max_num_queries):
    client.get("/halt/state/")  # the first request of a session puts its sign-in on record
    with django_assert_max_num_queries(12):
        client.get(f"/accounts/{made.account.pk}/")


def test_a_desk_costs_the_same_however_much_there_is(client, made, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get("/halt/state/")
    with CaptureQueriesContext(connection) as few:
        client.get(f"/accounts/{made.account.pk}/")
    demo("second@vibex.local", now=made.now, feed=False, cycles=10)
    Position.objects.filter(account__owner__email="second@vibex.local", closed=None).exclude(symbol="BTCUSDT").update(
        account=made.account, symbol="XRPUSDT"
    )
    IncomeEntry.objects.bulk_create(
        IncomeEntry(account=made.account, kind="COMMISSION", transaction_id=f"c{n}", amount=-1, at=made.now)
        for n in range(200)
    )
    with django_assert_num_queries(len(few)):
        client.get(f"/accounts/{made.account.pk}/")


# -- the curve --------------------------------------------------------------------------------------------


def test_the_curve_is_a_figure_that_plotly_accepts(client, made):
    from plotly.graph_objects import Figure

    figure = client.get(f"/accounts/{made.account.pk}/equity/").json()
    Figure(figure)  # raises for a property that plotly does not know
    assert len(figure["data"][0]["x"]) > 10


@pytest.mark.parametrize("span", ["day", "week", "month", "all"])
def test_every_span_ends_with_the_newest_point(client, made, span):
    figure = client.get(f"/accounts/{made.account.pk}/equity/?span={span}").json()
    assert figure["data"][0]["y"][-1] == float(EquityPoint.objects.order_by("-at").first().equity)


def test_an_unknown_span_is_refused(client, made):
    assert client.get(f"/accounts/{made.account.pk}/equity/?span=century").status_code == 400


def test_a_year_of_points_is_thinned_out(client, made):
    EquityPoint.objects.bulk_create(
        EquityPoint(account=made.account, at=made.now - timedelta(hours=100 + index), wallet=1, unrealised=0, equity=1)
        for index in range(8000)
    )
    figure = client.get(f"/accounts/{made.account.pk}/equity/").json()
    assert 300 < len(figure["data"][0]["x"]) < 500


# -- the diary and the trace ------------------------------------------------------------------------------


def test_the_diary_is_narrowed_by_kind_and_symbol_and_paged(client, made):
    path = f"/accounts/{made.account.pk}/diary/"
    assert "did not answer in 30 s" not in text_of(client, f"{path}?kind=trade")
    assert "did not answer in 30 s" in text_of(client, f"{path}?kind=error")
    assert "entry-hold" not in text_of(client, f"{path}?symbol=DOGEUSDT")
    assert "There is no kind song" in text_of(client, f"{path}?kind=song", status=400)
    assert text_of(client, f"{path}?before=x")


def test_a_cycle_is_traced_from_the_question_to_the_orders(client, made):
    opening = made.cycles[0]
    page = text_of(client, f"/cycles/{opening.pk}/")
    for text in ("size.risk", "The loss at the stop may be 1 % of equity.", "10,164.20", "stop sell", "execute"):
        assert text in page


def test_stop_and_target_stand_with_the_decision_whose_entry_they_protect(client, made):
    Order.objects.filter(role__in=["stop", "target"]).update(decision=None)
    page = text_of(client, f"/cycles/{made.cycles[0].pk}/")
    assert "stop sell" in page
    assert "Other orders" not in page


def test_what_a_model_wrote_is_text_never_markup(client, made):
    cycle = made.cycles[-1]
    assert HOSTILE not in text_of(client, f"/cycles/{cycle.pk}/")
    for part in ("prompt", "reply"):
        page = text_of(client, f"/cycles/{cycle.pk}/interactions/{cycle.interactions.get().pk}/{part}/")
        assert HOSTILE not in page
        assert "&lt;script&gt;alert" in page


def test_limits_ledger_and_incidents_are_in_the_books(client, made):
    page = text_of(client, f"/accounts/{made.account.pk}/books/")
    for text in (
        "May lose at most 3 % of equity a day",
        "funding fee",
        "Two candles of XRPUSDT were missing.",
        "Two stops in a row",
    ):
        assert text in page


def test_staff_sees_what_is_switched_on_and_where_models_are_asked_without_a_key(client, made, settings):
    path = f"/accounts/{made.account.pk}/books/"
    assert "FEATURE_" not in text_of(client, path)
    settings.OPENROUTER_API_KEY = "sk-hunter2"
    settings.FEATURES = Features(ensemble=True)
    made.user.is_staff = True
    made.user.save()
    page = " ".join(text_of(client, path).split())
    assert "<dt>FEATURE_ENSEMBLE</dt> <dd> on </dd>" in page
    assert "<dt>FEATURE_LIVE_TRADING</dt> <dd> off </dd>" in page
    assert "openrouter.ai" in page
    assert f"python {platform.python_version()}" in page
    assert "hunter2" not in page


# -- start, pause, stop -----------------------------------------------------------------------------------


def press(client, made, act, **headers):
    return client.post(f"/bots/{made.bot.pk}/{act}/", headers=headers)


@pytest.mark.parametrize(("act", "status"), [("pause", "paused"), ("stop", "stopped")])
def test_a_press_does_what_it_says_and_leaves_who_it_was(client, made, act, status):
    assert press(client, made, act).status_code == 302
    made.bot.refresh_from_db()
    assert made.bot.status == status
    assert AuditEntry.objects.get(action=f"bot-{status}").actor == made.user


@pytest.mark.parametrize("act", ["pause", "stop"])
def test_a_double_click_changes_nothing_more(client, made, act):
    press(client, made, act)
    answer = press(client, made, act, **{"HX-Request": "true"})
    assert answer.status_code == 200
    assert b'role="alert"' not in answer.content
    assert AuditEntry.objects.filter(action__in=["bot-paused", "bot-stopped"], actor=made.user).count() == 1


def test_with_htmx_the_bots_panel_comes_back_alone(client, made):
    page = press(client, made, "pause", **{"HX-Request": "true"}).content.decode()
    assert 'id="bot"' in page
    assert "Start" in page
    assert "<html" not in page


def test_a_refusal_is_shown_where_the_button_is(client, made):
    Bot.objects.update(status="stopped")
    answer = press(client, made, "pause", **{"HX-Request": "true"})
    assert "Only a running bot can be paused" in answer.content.decode()


def test_a_refusal_is_shown_without_scripts_too(client, made):
    Bot.objects.update(status="stopped")
    answer = client.post(f"/bots/{made.bot.pk}/pause/", follow=True)
    assert "Only a running bot can be paused" in answer.content.decode()


def test_acting_needs_a_post_with_a_token(made):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(made.user)
    assert strict.get(f"/bots/{made.bot.pk}/stop/").status_code == 405
    assert strict.post(f"/bots/{made.bot.pk}/stop/").status_code == 403
    made.bot.refresh_from_db()
    assert made.bot.status == "running"


def test_an_act_that_does_not_exist_is_not_found(client, made):
    assert press(client, made, "explode").status_code == 404


def test_the_way_back_never_leaves_the_house(client, made):
    answer = client.post(f"/bots/{made.bot.pk}/pause/", {"next": "https://evil.example/"})
    assert answer["Location"] == f"/accounts/{made.account.pk}/"


# -- errors -----------------------------------------------------------------------------------------------


def test_a_page_that_does_not_exist_has_words_and_a_way_back(client):
    page = text_of(client, "/nothing/here/", status=404)
    assert "There is no such page" in page
    assert 'href="/"' in page


def test_a_broken_database_gives_a_page_that_needs_none(client, made, monkeypatch):
    from django.db import OperationalError

    from trading import pages

    def gone(*args, **kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr(pages, "market_and_halt", gone)
    client.raise_request_exception = False
    page = text_of(client, desk_of(made.account), status=500)
    assert "Something went wrong here" in page
    assert "locked" not in page
