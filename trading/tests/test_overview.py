"""The overview: what it says of all accounts, in every state, and what it costs."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Alert, Bot
from decisions.models import Cycle, Decision
from tests.support.demo import HOSTILE, account_of, bot_of, demo, person
from tests.support.demo_market import candles, market
from trading.models import EquityHour, EquityPoint, IncomeEntry, LossWatch, Position
from trading.selectors.overview import overview_of
from trading.selectors.standing import standing_of
from trading.services.performance import performance_rebuild

pytestmark = pytest.mark.django_db

MOST_QUERIES = 12
PANELS = ("totals", "system", "approvals", "cards", "scores", "positions", "told", "chat")


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=4, equity_points=60)
    client.force_login(made.user)
    return made


def text_of(client, path="/", status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def seen_by(user):
    return overview_of(user, now=timezone.now())


def card_of(user, name="paper"):
    return next(card for card in seen_by(user).cards if card.account.name == name)


def stated(account, equity, *, at=None, day=None):
    """Let an account have stated its equity, and the day have begun with another one."""
    at = at or timezone.now() - timedelta(seconds=20)
    EquityPoint.objects.create(account=account, at=at, wallet=equity, unrealised=0, equity=equity)
    LossWatch.objects.create(
        account=account, at=at, zone="UTC", day_ends=timezone.now() + timedelta(hours=9), day_equity=day or equity,
        day_transfers=0, equity=equity, transfers=0, unit=1, peak=1,
    )  # fmt: skip


def make_testnet(owner, name="try-out"):
    return Account.objects.create(owner=owner, name=name, venue="aster", mode="live", network="testnet")


# -- what it says -----------------------------------------------------------------------------------------


def test_it_shows_money_bots_positions_decisions_and_alerts_of_all_accounts(client, made):
    page = text_of(client)
    for text in ("10,084.", "next decision", "BTCUSDT", "70,190.0", "buy to enter", "missing protection", "Scheduler"):
        assert text in page


def test_equity_and_the_day_are_those_of_the_desk(made):
    midnight = made.now.replace(hour=0, minute=0, second=0, microsecond=0)
    LossWatch.objects.update(day_equity=EquityPoint.objects.filter(at__lte=midnight).latest("at").equity)
    here = card_of(made.user)
    there = standing_of(made.account, now=made.now, rules={})
    assert here.equity == pytest.approx(there.equity, abs=D("0.01"))  # statements of the demo are in cents
    assert here.unrealised == there.unrealised
    assert here.day == pytest.approx(there.day, abs=D("0.01"))
    assert here.exposure == there.exposure


def test_what_was_booked_after_the_last_statement_is_in_equity_and_a_deposit_is_no_result(made):
    before = card_of(made.user)
    at = EquityPoint.objects.latest("at").at + timedelta(milliseconds=1)
    for kind, amount in (("COMMISSION", -3), ("TRANSFER", 500)):
        IncomeEntry.objects.create(account=made.account, kind=kind, transaction_id=kind, amount=amount, at=at)
    after = card_of(made.user)
    assert after.equity == before.equity + 497
    assert after.day == before.day - 3


def test_a_day_that_has_begun_without_a_statement_begins_with_what_was_known_last(made):
    LossWatch.objects.update(day_ends=timezone.now() - timedelta(minutes=1), equity=D("10_000"), day_equity=D("9_000"))
    card = card_of(made.user)
    assert card.day == card.equity - 10_000


def test_the_gauge_of_a_day_without_a_statement_is_that_of_the_new_day(made):
    """Else it would show yesterday's loss, and nothing left to lose, until the account states something."""
    LossWatch.objects.update(day_ends=timezone.now() - timedelta(minutes=1), equity=D(9_760), day_equity=D(10_000))
    gauge = card_of(made.user).gauge
    assert (gauge.now, gauge.used) == ("none", 0)


def test_the_share_of_a_total_is_of_what_its_cards_began_the_day_with(client):
    """A deposit of today is in equity and in no result: it is no part of what the result is a share of."""
    user, now = person(), timezone.now()
    market(now)
    for name, moved, equity in (("grown", 9_000, 10_100), ("calm", 0, 1_000)):
        account = account_of(user, name)
        stated(account, equity, day=1_000)
        LossWatch.objects.filter(account=account).update(transfers=moved)
    total = seen_by(user).totals[0]
    assert card_of(user, "grown").day_share == D("0.1")
    assert total.day == 100
    assert total.before == sum(card.before for card in seen_by(user).cards) == 2_000
    assert total.day_share == D("0.05")


def test_paper_testnet_and_live_are_never_added_up(client, made):
    other, testnet = account_of(made.user, "second"), make_testnet(made.user)
    stated(other, 5_000)
    stated(testnet, 777)
    totals = {total.badge: total for total in seen_by(made.user).totals}
    assert list(totals) == ["testnet", "paper"]
    assert totals["testnet"].equity == 777
    assert totals["paper"].equity == card_of(made.user).equity + 5_000
    assert totals["paper"].count == 2
    assert "no real money" in text_of(client)


def test_an_account_that_has_stated_nothing_is_in_no_sum_and_the_page_says_so(client):
    user = person()
    market(timezone.now())
    account_of(user)
    client.force_login(user)
    page = text_of(client)
    assert "1 not stated yet" in page
    assert "not known yet" in page  # the gauge
    assert seen_by(user).totals[0].known is False


def test_a_loss_of_the_day_fills_its_gauge(made):
    LossWatch.objects.update(day_equity=D("10_000"), equity=D("9_760"), day_transfers=0, transfers=0)
    gauge = card_of(made.user).gauge
    assert gauge.now == "2.4 % lost"
    assert gauge.used == 80
    assert gauge.level == "near"


@pytest.mark.parametrize(("state", "said"), [("halted", "Halted: too hot"), ("reducing", "Reducing only: too hot")])
def test_what_an_account_may_not_do_is_said_with_the_reason(client, made, state, said):
    Account.objects.update(state=state, state_reason="too hot")
    assert said in text_of(client)


def test_a_position_without_a_stop_stands_out(client, made):
    Position.objects.filter(symbol="BTCUSDT", closed=None).update(stop=None, bracket="arming")
    assert "no stop" in text_of(client)


def test_what_a_model_wrote_is_text_without_secrets(client, made):
    key = "sk-or-v1-0123456789abcdef0123456789abcdef"
    Decision.objects.update(justification=f"{HOSTILE} {key}", action="buy_to_enter")
    Alert.objects.update(message=f"{HOSTILE} {key}")
    page = text_of(client)
    assert HOSTILE not in page
    assert key not in page
    assert "&lt;script&gt;alert" in page


def test_the_newest_decisions_come_first_and_holds_in_one_line(made):
    first = seen_by(made.user).said[0]
    assert first.cycle_id == made.cycles[-1].pk
    assert [each.action for each in first.acts] == ["buy_to_enter"]
    assert len(first.holds) == 4


def test_cycles_in_which_nothing_was_decided_do_not_crowd_out_what_was(made):
    told = [each.cycle_id for each in seen_by(made.user).said]
    Cycle.objects.bulk_create(
        Cycle(
            bot=made.bot, account=made.account, scheduled_for=made.now + timedelta(minutes=number),
            status=("skipped", "failed", "abandoned")[number % 3], lease_until=made.now, began=made.now,
        )
        for number in range(1, 21)
    )  # fmt: skip
    assert told
    assert [each.cycle_id for each in seen_by(made.user).said] == told


def test_of_many_accounts_fewer_decisions_are_looked_for_on_each_and_never_none(made, monkeypatch):
    for most, shown in ((240, 5), (2, 2), (0, 1)):
        monkeypatch.setattr("trading.selectors.overview_feed.SAID_OF_ALL", most)
        assert len(seen_by(made.user).said) == shown


def test_alerts_are_those_not_acknowledged_and_their_number_stands_in_the_navigation(client, made):
    Alert.objects.filter(type="stop-hit").update(acknowledged=timezone.now())
    page = text_of(client)
    assert "was closed at" not in page
    assert f'title="not acknowledged">{Alert.objects.filter(acknowledged=None).count()}<' in page


def test_what_waits_for_an_answer_can_be_answered_here(client, made):
    page = text_of(client)
    assert "Reward to risk" in page
    assert 'name="next" value="/"' in page


def test_an_empty_overview_says_what_will_come(client):
    user = person()
    market(timezone.now())
    bot_of(account_of(user))
    client.force_login(user)
    page = text_of(client)
    for text in (
        "Flat: nothing is open",
        "No decision yet",
        "Nothing that you have not",
        "too short to tell",
        "no curve yet",
    ):
        assert text in page


def test_without_an_account_it_says_how_to_get_one(client):
    client.force_login(person())
    assert "There is no account yet" in text_of(client)


def test_a_market_that_stands_is_said_where_it_matters(client, made):
    from marketdata.models import Feed

    Feed.objects.update(running=False)
    assert "The market stands still" in text_of(client)
    assert "next decision in" not in text_of(client)


def test_nothing_of_others_is_shown(client, made):
    other = demo("second@vibex.local", now=made.now, name="theirs", feed=False, cycles=2, equity_points=10)
    page = text_of(client) + text_of(client, "/overview/live/")
    assert "theirs" not in page
    assert f"/accounts/{other.account.pk}/" not in page
    assert text_of(client, "/overview/equity/?market=sim").count("trend on") <= 1


def test_the_moving_panels_come_each_for_its_own_place(client, made):
    page = text_of(client, "/overview/live/")
    for panel in PANELS:
        assert f'id="{panel}"' in page
    assert page.count('hx-swap-oob="true"') == len(PANELS)
    assert "<html" not in page


def test_the_stream_of_all_accounts_is_listened_to(client, made):
    other = account_of(made.user, "second")
    page = text_of(client)
    heard = page.partition('data-accounts="')[2].partition('"')[0].split(",")
    assert set(map(int, heard)) == {made.account.pk, other.pk}


# -- the chart --------------------------------------------------------------------------------------------


def figure_of(client, span="day", market_name="sim"):
    answer = client.get(f"/overview/equity/?span={span}&market={market_name}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def lines_in(figure):
    return {trace["name"]: trace for trace in figure["data"]}


def test_the_figure_is_one_that_plotly_accepts_with_bitcoin_and_cash(client, made):
    from plotly.graph_objects import Figure

    candles(made.now, hours=80, symbols=("BTCUSDT",))
    performance_rebuild(made.account)
    for span in ("day", "week", "month", "all"):
        figure = figure_of(client, span)
        Figure(figure)  # raises for a property that plotly does not know
        assert list(lines_in(figure)) == ["trend on paper", "BTCUSDT held", "cash"]
    assert {trace["line"]["dash"] for trace in figure["data"]} == {"solid", "dot", "longdash"}


def test_a_line_is_in_per_cent_of_its_start_and_a_deposit_does_not_lift_it(client):
    user, now = person(), timezone.now()
    market(now)
    account = account_of(user)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for back, worth in ((5, 1_000), (4, 1_100), (3, 1_600), (2, 1_650)):
        at = hour - timedelta(hours=back)
        EquityHour.objects.create(
            account=account, hour=at, first=worth, last=worth, lowest=worth, highest=worth, points=9, lowest_at=at,
            highest_at=at,
        )  # fmt: skip
    paid_in = hour - timedelta(hours=3) + timedelta(minutes=5)
    IncomeEntry.objects.create(account=account, kind="TRANSFER", transaction_id="1", amount=500, at=paid_in)
    stated(account, 1_650)
    client.force_login(user)
    line = lines_in(figure_of(client))["paper"]
    assert line["y"][0] == 0
    assert line["y"][-1] == 15  # 1,650 − 500 in per cent of 1,000
    assert max(line["y"]) == 15


def made_of_hours(user, *rows, now):
    """Return an account with hours: (how many back, equity in it)."""
    account = account_of(user)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for back, worth in rows:
        at = hour - timedelta(hours=back)
        EquityHour.objects.create(
            account=account, hour=at, first=worth, last=worth, lowest=worth, highest=worth, points=9, lowest_at=at,
            highest_at=at,
        )  # fmt: skip
    return account, hour


def deposit(account, at, amount):
    IncomeEntry.objects.create(account=account, kind="TRANSFER", transaction_id=str(at), amount=amount, at=at)


def point(account, at, equity):
    EquityPoint.objects.create(account=account, at=at, wallet=equity, unrealised=0, equity=equity)


@pytest.mark.parametrize("span", ["day", "week", "month"])
@pytest.mark.parametrize("minute", [10, 59])
def test_a_loss_after_a_large_deposit_is_a_share_of_what_was_there_then(client, span, minute):
    """100, 10,000 paid in, then 9,500: that lost 600 of 10,100, not 600 %, also where the hour ends before it is stated."""
    user, now = person(), timezone.now()
    market(now)
    last_of_its_hour = 10_100 if minute == 10 else 100
    account, hour = made_of_hours(user, (6, 100), (5, last_of_its_hour), (4, 10_100), (3, 9_500), (2, 9_500), now=now)
    paid = hour - timedelta(hours=5) + timedelta(minutes=minute)
    point(account, paid - timedelta(seconds=30), 100)
    point(account, paid + timedelta(seconds=65), 10_100)
    deposit(account, paid, 10_000)
    stated(account, 9_500)
    client.force_login(user)
    line = lines_in(figure_of(client, span))["paper"]
    assert line["y"][-1] == pytest.approx(-600 / 10_100 * 100, abs=0.01)
    assert min(line["y"]) == line["y"][-1]
    assert max(line["y"]) == 0


def test_a_line_never_falls_below_all_that_was_there():
    from trading.domain.unit_value import results

    assert results([]) == []
    assert results([(100, 0), (110, 0), (99, 0)]) == pytest.approx([0, 0.1, -0.01])
    assert results([(100, 0), (10_100, 10_000), (9_500, 10_000)]) == pytest.approx([0, 0, -600 / 10_100])
    assert results([(100, 0), (50, -50), (55, -50)]) == pytest.approx([0, 0, 0.1])
    assert results([(100, 0), (-20, 0), (80, 100)]) == [0, -1, -1]
    assert results([(0, 0), (100, 100), (150, 100)]) == pytest.approx([0, 0, 0.5])


def test_a_person_chooses_whose_lines_are_drawn(client, made, monkeypatch):
    monkeypatch.setattr("trading.selectors.overview_figure.MOST_LINES", 2)
    names, keys = ("aa", "bb", "cc"), {}
    for name in names:
        account = account_of(made.user, name)
        for back in (3, 2):
            at = made.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)
            EquityHour.objects.create(
                account=account, hour=at, first=9, last=9, lowest=9, highest=9, points=9, lowest_at=at, highest_at=at
            )
        stated(account, 9)
        keys[name] = account.pk
    assert set(lines_in(figure_of(client))) == {"aa", "bb", "cash"}
    chosen = f"account={keys['cc']}&account={keys['bb']}"
    assert set(lines_in(figure_of(client, market_name=f"sim&{chosen}"))) == {"bb", "cc", "cash"}
    page = text_of(client, f"/?market=sim&{chosen}")
    assert f"/overview/equity/?market=sim&amp;account={keys['bb']}&amp;account={keys['cc']}" in page
    assert "2 of 4 accounts chosen" in page
    assert page.count("checked") == 2


def test_no_account_of_another_can_be_chosen(client, made):
    other = demo("second@vibex.local", now=made.now, name="theirs", feed=False, cycles=2, equity_points=10)
    account_of(made.user, "second")
    page = text_of(client, f"/?account={other.account.pk}&account=x")
    assert "Choose among 2 accounts" in page
    assert "theirs" not in page
    assert figure_of(client, market_name=f"sim&account={other.account.pk}") == {"data": [], "layout": {}}
    assert client.get("/overview/equity/?market=sim&account=x").status_code == 400


def test_bitcoin_held_is_what_its_candles_say(client, made):
    candles(made.now, hours=80, symbols=("BTCUSDT",))
    performance_rebuild(made.account)
    held = lines_in(figure_of(client, "day"))["BTCUSDT held"]
    from marketdata.models import Candle, Ticker

    first = Candle.objects.filter(symbol="BTCUSDT", open_time__lte=timezone.now() - timedelta(hours=23, minutes=1))
    mark = float(Ticker.objects.get(symbol="BTCUSDT").mark)
    near = first.order_by("-open_time")[:120]
    assert held["y"][0] == 0
    assert (
        min(mark / row.open - 1 for row in near) * 100
        <= held["y"][-1]
        <= max(mark / row.open - 1 for row in near) * 100
    )


@pytest.mark.parametrize("days", [0.5, 1, 7, 30.01, 400])
def test_bitcoin_has_as_many_points_as_the_lines_beside_it_whatever_the_span(days):
    from datetime import UTC, datetime

    from trading.selectors.overview_figure import POINTS, _sampled

    until = datetime(2026, 11, 29, 15, 7, 3, tzinfo=UTC)
    times = _sampled(until - timedelta(days=days), until, "3m")
    assert POINTS / 2 < len(times) <= POINTS + 1
    assert all(at.minute % 3 == 0 and at.second == 0 for at in times)
    assert until - times[-1] < timedelta(days=days) / 50


def test_an_account_without_any_hour_gives_no_line(client):
    user = person()
    market(timezone.now())
    account_of(user)
    client.force_login(user)
    assert figure_of(client) == {"data": [], "layout": {}}


@pytest.mark.parametrize("query", ["span=century&market=sim", "span=day&market=nowhere", "span=day"])
def test_an_unknown_span_or_market_is_refused(client, made, query):
    assert client.get(f"/overview/equity/?{query}").status_code == 400


def test_the_chart_begins_with_the_market_on_which_bots_run(client, made):
    market(made.now, venue="aaa", running=False)
    account_of(made.user, "first", venue="aaa")
    page = text_of(client)
    assert "/overview/equity/?market=sim" in page
    assert "/overview/equity/?market=aaa" in text_of(client, "/?market=aaa")
    assert "/overview/equity/?market=sim" in text_of(client, "/?market=theirs")


# -- what it costs ----------------------------------------------------------------------------------------


def many(user, count):
    """Let a person have so many accounts with a bot, a position, figures and decisions each."""
    now = timezone.now()
    accounts = [account_of(user, f"more{number}") for number in range(count)]
    for account in accounts:
        bot = bot_of(account, status=Bot.Status.RUNNING)
        stated(account, 1_000)
        Position.objects.create(
            account=account, bot=bot, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100, opened=now
        )
        cycle = Cycle.objects.create(
            bot=bot, account=account, scheduled_for=now, status="done", lease_until=now, began=now
        )
        Decision.objects.create(cycle=cycle, bot=bot, sequence=1, symbol="BTCUSDT", action="hold", at=now)


@pytest.mark.parametrize("path", ["/", "/overview/live/", "/overview/equity/?market=sim&span=week"])
def test_it_costs_the_same_with_one_account_and_with_many(client, made, path):
    candles(made.now, hours=30, symbols=("BTCUSDT",))
    performance_rebuild(made.account)
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    many(made.user, 40)
    with CaptureQueriesContext(connection) as most:
        client.get(path)
    assert len(most) == len(few)
    if "equity" in path:
        assert client.get(path).json()["data"]
    assert len(most) <= MOST_QUERIES


def test_more_accounts_than_fit_as_cards_are_a_table(client, made):
    many(made.user, 14)
    page = text_of(client)
    assert "3 more accounts" in page
    assert page.count('class="card card-') == 12


def test_a_long_leaderboard_says_how_much_of_it_is_shown(client, made, monkeypatch):
    monkeypatch.setattr("trading.selectors.overview.BOARD", 3)
    many(made.user, 4)
    assert "3 of 5 bots" in text_of(client)
