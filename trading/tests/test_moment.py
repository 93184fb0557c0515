"""The picture of an entry: candles around its decision, what was asked for, and what came after."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Bot
from decisions.models import Afterwards, Decision
from marketdata.models import Candle, Feed
from tests.support.demo import demo, person
from tests.support.demo_market import candles
from trading.models import Position
from trading.selectors.moment import AFTER, BEFORE, LEAST_BEFORE, MOST_BARS, _window, moment_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=2, equity_points=5)
    candles(made.now, hours=6, symbols=("BTCUSDT", "SOLUSDT"))
    client.force_login(made.user)
    client.get("/halt/state/")
    return made


def entry_of(made, symbol="BTCUSDT"):
    return Decision.objects.exclude(action="hold").filter(symbol=symbol, afterwards__isnull=False).first()


def path_of(decision):
    return f"/cycles/{decision.cycle_id}/moment/{decision.pk}/"


def figure(client, decision):
    answer = client.get(path_of(decision))
    assert answer.status_code == 200
    return answer.json()


def traces(drawn):
    return {trace["name"]: trace for trace in drawn["data"]}


def page_of(client, decision):
    return " ".join(client.get(f"/cycles/{decision.cycle_id}/").content.decode().split())


def test_the_picture_is_one_that_plotly_accepts(client, made):
    from plotly.graph_objects import Figure

    for symbol in ("BTCUSDT", "SOLUSDT"):
        Figure(figure(client, entry_of(made, symbol)))


def test_candles_begin_before_the_decision_and_end_after_what_came(client, made):
    decision = entry_of(made)
    closed = decision.at + timedelta(minutes=30)
    Afterwards.objects.filter(decision=decision).update(until=closed, end="target")
    Position.objects.filter(decision=decision).update(closed=closed, quantity=0, exit_reason="target")
    x = traces(figure(client, decision))["BTCUSDT"]["x"]
    before = [at for at in x if at < local(decision.at)]
    after = [at for at in x if at > local(closed)]
    assert abs(len(before) - BEFORE) <= 1
    assert abs(len(after) - AFTER) <= 1


def local(at):
    return timezone.localtime(at).replace(tzinfo=None).isoformat(timespec="milliseconds")


def test_entry_stop_and_target_are_drawn_as_they_were_asked_for_and_fills_are_marked(client, made):
    decision = entry_of(made)
    drawn = traces(figure(client, decision))
    assert drawn["Stop"]["y"][:2] == [float(decision.stop_loss)] * 2
    assert drawn["Target"]["y"][:2] == [float(decision.profit_target)] * 2
    assert drawn["Entry price"]["y"][0] == 70866.2
    assert drawn["Stop"]["x"][0] == local(decision.at)
    assert drawn["Entry long"]["y"] == [70866.2]
    shapes = figure(client, decision)["layout"]["shapes"]
    assert [shape["x0"] for shape in shapes] == [local(decision.at)]


def test_what_lasted_long_is_drawn_in_longer_candles(client, made):
    decision = entry_of(made)
    decision.at = made.now - timedelta(days=4)
    decision.save()
    Candle.objects.filter(symbol="BTCUSDT").delete()
    start = (decision.at - timedelta(days=1)).replace(second=0, microsecond=0)
    Candle.objects.bulk_create(
        Candle(
            venue="sim", symbol="BTCUSDT", interval="1m", open_time=start + timedelta(minutes=minute), open=1, high=2,
            low=1, close=2, volume=1, closed=True,
        )
        for minute in range(24 * 60 * 5)
    )  # fmt: skip
    x = traces(figure(client, decision))["BTCUSDT"]["x"]
    assert 60 < len(x) <= MOST_BARS


@pytest.mark.parametrize(("interval", "days"), [("4h", 8), ("1d", 3), ("1d", 20)])
def test_the_decision_is_in_the_picture_also_where_few_candles_of_the_bot_can_be_read(
    client, made, monkeypatch, interval, days
):
    """Of a bot on 1d every candle is hundreds of those that are stored: 52 of them are more than is read for one picture."""
    monkeypatch.setattr("trading.selectors.moment.MOST_BASE", 4_000)  # 13 days of 5m, as 20,000 are of 1m
    decision = entry_of(made)
    now, step = made.now.replace(minute=0, second=0, microsecond=0), timedelta(minutes=5)
    decision.at = now - timedelta(days=days)
    decision.save()
    Bot.objects.update(interval=interval)
    Feed.objects.update(interval="5m")
    Candle.objects.filter(symbol="BTCUSDT").delete()
    start = decision.at - timedelta(days=14)
    Candle.objects.bulk_create(
        Candle(
            venue="sim", symbol="BTCUSDT", interval="5m", open_time=start + number * step, open=1, high=2, low=1, close=2,
            volume=1, closed=True,
        )
        for number in range((now - start) // step)
    )  # fmt: skip
    x = traces(figure(client, decision))["BTCUSDT"]["x"]
    at = local(decision.at)
    assert sum(each < at for each in x) >= LEAST_BEFORE
    assert sum(each > at for each in x) >= min(days, 8) - 1, "the picture ended before the decision"


def test_a_picture_is_bounded_and_shortens_first_what_stands_before_it():
    at, day = datetime(2026, 11, 3, 7, tzinfo=UTC), timedelta(days=1)
    decided = datetime(2026, 11, 3, tzinfo=UTC)
    assert _window(at, at + day, day, 1_000) == (decided - BEFORE * day, at + day + AFTER * day)
    assert _window(at, at + day, day, 30) == (decided - 16 * day, at + day + AFTER * day)
    assert _window(at, at + 20 * day, day, 13) == (decided - LEAST_BEFORE * day, decided + 8 * day)


def test_words_beside_say_the_same(client, made):
    decision = entry_of(made)
    page = page_of(client, decision)
    assert f'data-chart="{path_of(decision)}"' in page
    for said in (
        "70,866.2",
        "0.95 % away",
        "1.94 % away",
        "2.03 to 1",
        "▲ best +0.41 ×, ▼ worst −0.22 ×",
        "still open",
    ):
        assert said in page
    assert "plotly.min.js" in page


def test_distances_have_the_sign_of_the_side():
    short = Decision(symbol="X", action="sell_to_enter", stop_loss=Decimal(103), profit_target=Decimal(94))
    moment = moment_of(short, {"X": {"price": "100"}})
    assert (moment.to_stop, moment.to_target, moment.reward) == (Decimal("0.03"), Decimal("0.06"), Decimal(2))
    assert moment_of(short, {}).reward is None
    assert moment_of(short, {"X": {"price": "NaN"}}).price is None
    assert moment_of(short, {"X": {"price": "103"}}).reward is None


def test_candles_that_are_gone_are_said_to_be_gone(client, made):
    decision = entry_of(made)
    Candle.objects.all().delete()
    page = page_of(client, decision)
    assert "candles of this moment are not stored any more" in page
    assert "data-chart" not in page
    assert "plotly.min.js" not in page
    assert figure(client, decision)["data"] == []


def test_a_market_that_is_gone_draws_nothing(client, made):
    Feed.objects.all().delete()
    assert figure(client, entry_of(made)) == {"data": [], "layout": {}}


def test_a_hold_has_no_picture_and_anothers_is_not_found(client, made):
    hold = Decision.objects.filter(action="hold").first()
    decision = entry_of(made)
    assert client.get(path_of(hold)).status_code == 404
    assert client.get(f"/cycles/{hold.cycle_id}/moment/{decision.pk}/").status_code == 404
    assert client.post(path_of(decision)).status_code == 405
    client.force_login(person("other@vibex.local"))
    assert client.get(path_of(decision)).status_code == 404


def test_a_picture_costs_few_queries(client, made):
    decision = entry_of(made)
    figure(client, decision)
    with CaptureQueriesContext(connection) as asked:
        figure(client, decision)
    assert len(asked) <= 6
