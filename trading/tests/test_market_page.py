"""The market page: what it shows, to whom, and what it answers to a wrong question."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Bot, Incident
from marketdata import database_market
from marketdata.models import Candle, CandleCorrection, CandleHole, Feed, FundingRate, QuarantinedCandle, Ticker
from marketdata.stored import SeriesStore
from tests.support.demo import account_of, bot_of, demo, person
from tests.support.demo_market import candles, market
from trading.models import Fill, Position
from trading.selectors.figure import MARKS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(database_market, "STORE", SeriesStore())


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=2, equity_points=5)
    candles(made.now, hours=4, symbols=("BTCUSDT", "SOLUSDT"))
    Bot.objects.update(timeframes=["3m", "5m"], symbols=["BTCUSDT", "SOLUSDT"])
    client.force_login(made.user)
    return made


def text_of(client, made, query="", status=200):
    answer = client.get(f"/accounts/{made.account.pk}/market/{query}")
    assert answer.status_code == status
    return answer.content.decode()


def figure(client, made, query="?symbol=BTCUSDT&interval=3m"):
    answer = client.get(f"/accounts/{made.account.pk}/market/figure/{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def traces(drawn):
    return {trace["name"]: trace for trace in drawn["data"]}


def words(page):
    """Return the text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


# -- the page ---------------------------------------------------------------------------------------------


def test_the_page_shows_prices_with_their_age_freshness_and_what_the_account_did(client, made):
    page = words(text_of(client, made))
    for text in ("71,284.6", "71,284.7", "+0.0100 %", "settles in 5", "may be traded", "Candle closed", "entry"):
        assert text in page
    assert "not told" in page  # open interest


def test_the_chart_has_words_a_line_and_a_table_for_those_without_scripts(client, made):
    page = text_of(client, made)
    assert re.search(r'aria-label="\d+ candles of BTCUSDT, 3m each: last 71,284.6, highest', page)
    assert '<polyline points="' in page
    assert "forming</span>" in page
    assert "data-chart=" in page


def test_symbols_and_candles_are_those_of_the_bots_first_then_what_is_followed(client, made):
    page = text_of(client, made)
    assert page.index("Of the bots") < page.index(">SOLUSDT<") < page.index("Followed") < page.index(">DOGEUSDT<")
    for interval in ("1m", "3m", "15m", "4h", "1d"):
        assert re.search(rf"<option\s*(selected)?>{interval}<", page)
    assert re.search(r"<option selected>3m<", page), "the bot's own interval is the first shown"


def test_a_symbol_that_no_bot_trades_can_be_looked_at(client, made):
    page = words(text_of(client, made, "?symbol=DOGEUSDT&interval=1m"))
    assert "Prices of DOGEUSDT" in page
    assert "DOGEUSDT: no candles yet" in text_of(client, made, "?symbol=DOGEUSDT&interval=1m")


def test_a_symbol_that_holds_says_so_in_the_words_of_the_bots(client, made):
    Ticker.objects.filter(symbol="SOLUSDT").update(at=made.now - timedelta(minutes=5))
    page = words(text_of(client, made))
    assert re.search(r"SOLUSDT .* holds [^✓]*old", page)


def test_data_incidents_are_counted_and_listed(client, made):
    now = timezone.now()
    for model in (QuarantinedCandle, CandleHole, CandleCorrection):
        model.objects.all().delete()
    QuarantinedCandle.objects.create(
        venue="sim", symbol="XRPUSDT", interval="1m", open_time=now, values={}, reason="high below open"
    )
    Incident.objects.create(account=None, kind="impossible-candle", severity="warning", text="sim BTCUSDT 1m: high low")
    Incident.objects.create(account=None, kind="impossible-candle", severity="warning", text="other BTCUSDT 1m: low")
    QuarantinedCandle.objects.create(
        venue="sim", symbol="BTCUSDT", interval="1m", open_time=now, values={}, reason="high below low", mended=now
    )
    CandleHole.objects.create(venue="sim", symbol="BTCUSDT", interval="1m", start=now, stop=now + timedelta(hours=1))
    for age in (1, 30):
        CandleCorrection.objects.create(
            venue="sim", symbol="BTCUSDT", interval="1m", open_time=now, before=[], after=[],
            seen=now - timedelta(hours=age),
        )  # fmt: skip
    page = words(text_of(client, made))
    assert "Impossible candles 1 put aside" in page  # the mended one does not count
    assert "Holes at the venue 1" in page
    assert "Corrected candles 1 in the last 24 hours" in page
    assert "sim BTCUSDT 1m: high low" in page
    assert "other BTCUSDT" not in page


def test_why_this_market_was_taken_is_said_on_every_page(client, made):
    Feed.objects.update(note="AsterDEX did not answer within 2 s; simulated prices")
    for path in ("", "market/", "diary/", "books/"):
        page = client.get(f"/accounts/{made.account.pk}/{path}").content.decode()
        assert "AsterDEX did not answer within 2 s" in page, path


def test_the_page_is_linked_from_every_other(client, made):
    assert (
        f'href="/accounts/{made.account.pk}/market/"'
        in client.get(f"/accounts/{made.account.pk}/diary/").content.decode()
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?symbol=PEPEUSDT", "PEPEUSDT is not followed here. There is BTCUSDT, SOLUSDT"),
        ("?interval=7m", "There are no 7m candles here. Use one of 1m, 3m"),
        ("?show=ema20,moon", "There is no indicator moon. Use some of ema20"),
    ],
)
def test_a_wrong_choice_is_explained_and_the_usual_chart_shown(client, made, query, said):
    page = text_of(client, made, query, status=400)
    assert said in page
    assert "Prices of BTCUSDT" in page
    part = client.get(f"/accounts/{made.account.pk}/market/{query}", headers={"HX-Request": "true"})
    assert part.status_code == 200, "htmx would leave the old picture there, and say nothing"
    assert said in part.content.decode()
    assert "<html" not in part.content.decode()


def test_what_is_asked_for_is_never_markup(client, made):
    page = text_of(client, made, "?symbol=<script>alert(1)</script>", status=400)
    assert "<script>alert" not in page


def test_an_empty_market_says_what_will_come(client):
    user = person()
    account = account_of(user)
    client.force_login(user)
    path = f"/accounts/{account.pk}/market/"
    assert "no market named sim" in client.get(path).content.decode()
    Feed.objects.create(venue="sim", kind="simulated", market_at=timezone.now(), running=True)
    assert "This market has no symbols yet" in client.get(path).content.decode()


def test_contracts_without_candles_and_prices_are_no_error(client):
    user = person()
    market(timezone.now())
    Ticker.objects.all().delete()
    account = account_of(user)
    bot_of(account)
    client.force_login(user)
    page = client.get(f"/accounts/{account.pk}/market/").content.decode()
    assert "No candles of BTCUSDT are stored yet" in page
    assert "No price of BTCUSDT is stored yet" in page
    assert client.get(f"/accounts/{account.pk}/market/figure/?symbol=BTCUSDT").json()["data"] == []


def test_a_market_that_stands_still_is_shown_and_holds(client, made):
    Feed.objects.update(running=False)
    page = words(text_of(client, made))
    assert "the market stands still" in page
    assert "3m each: last" in text_of(client, made)
    assert len(traces(figure(client, made))["BTCUSDT"]["x"]) > 50


def test_nobody_sees_the_market_page_of_anothers_account(client, made):
    client.force_login(person("mallory@vibex.local"))
    for path in ("market/", "market/live/", "market/figure/?symbol=BTCUSDT"):
        assert client.get(f"/accounts/{made.account.pk}/{path}").status_code == 404


def test_with_htmx_only_what_changes_with_the_choice_comes(client, made):
    answer = client.get(f"/accounts/{made.account.pk}/market/?symbol=SOLUSDT", headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert "<html" not in page
    assert 'id="picture"' in page
    assert "Prices of SOLUSDT" in page


def test_the_moving_panels_come_each_for_its_own_place(client, made):
    page = client.get(f"/accounts/{made.account.pk}/market/live/?symbol=SOLUSDT&interval=3m").content.decode()
    for panel in ("market", "trades", "prices", "fresh", "data"):
        assert f'id="{panel}"' in page
    assert page.count("hx-swap-oob") == 5
    assert "<html" not in page


def test_the_page_costs_a_bounded_number_of_queries(client, made, django_assert_max_num_queries):
    text_of(client, made)
    with django_assert_max_num_queries(11):
        text_of(client, made)


# -- the figure -------------------------------------------------------------------------------------------


def test_every_figure_is_one_that_plotly_accepts(client, made):
    from plotly.graph_objects import Figure

    everything = "ema20,ema50,bollinger,rsi14,macd,atr14,adx14,funding"
    for show in ("", everything):
        Figure(figure(client, made, f"?symbol=BTCUSDT&interval=1m&show={show}"))


def test_closed_candles_and_the_forming_one_are_drawn_apart(client, made):
    drawn = traces(figure(client, made, "?symbol=BTCUSDT&interval=1m"))
    newest = Candle.objects.filter(symbol="BTCUSDT").order_by("-open_time").first()
    assert drawn["forming"]["close"] == [newest.close]
    assert len(drawn["BTCUSDT"]["x"]) == 200
    assert drawn["BTCUSDT"]["x"][-1] < drawn["forming"]["x"][0]
    assert len(drawn["Volume"]["x"]) == 201


def test_a_small_screen_asks_for_fewer_candles(client, made):
    drawn = traces(figure(client, made, "?symbol=BTCUSDT&interval=1m&bars=40&show=ema20"))
    assert len(drawn["BTCUSDT"]["x"]) == len(drawn["EMA 20"]["y"]) == 40
    assert None not in drawn["EMA 20"]["y"], "indicators know what came before"


def test_a_forming_candle_of_an_hour_holds_all_its_minutes(client, made):
    drawn = traces(figure(client, made, "?symbol=BTCUSDT&interval=1h"))
    hour = made.now.replace(minute=0, second=0, microsecond=0)
    minutes = list(Candle.objects.filter(symbol="BTCUSDT", open_time__gte=hour).order_by("open_time"))
    forming = drawn["forming"]
    assert (forming["open"], forming["close"]) == ([minutes[0].open], [minutes[-1].close])
    assert (forming["high"], forming["low"]) == ([max(m.high for m in minutes)], [min(m.low for m in minutes)])


@pytest.mark.parametrize(
    ("show", "there", "panes"),
    [
        ("ema20", {"EMA 20"}, 2),
        ("bollinger", {"Bollinger 20/2"}, 2),
        ("rsi14,macd", {"RSI 14", "MACD", "Signal", "Histogram"}, 4),
        ("atr14,adx14,funding", {"ATR 14", "ADX 14", "Funding"}, 5),
    ],
)
def test_each_indicator_is_drawn_where_it_belongs(client, made, show, there, panes):
    FundingRate.objects.create(venue="sim", symbol="BTCUSDT", at=made.now - timedelta(hours=1), rate=Decimal("0.0002"))
    drawn = figure(client, made, f"?symbol=BTCUSDT&interval=3m&show={show}")
    assert there <= set(traces(drawn))
    axes = [name for name in drawn["layout"] if name.startswith("yaxis")]
    assert len(axes) == panes
    domains = sorted(drawn["layout"][name]["domain"] for name in axes)
    assert all(below[1] < above[0] for below, above in pairwise(domains)), "no pane covers another"


def test_values_that_cannot_be_known_yet_are_gaps(client, made):
    drawn = traces(figure(client, made, "?symbol=BTCUSDT&interval=5m&show=ema50"))
    assert None in drawn["EMA 50"]["y"]


def test_only_what_has_settled_is_a_funding_bar(client, made):
    for hours, settled in ((2, True), (-1, False)):
        at = made.now - timedelta(hours=hours)
        FundingRate.objects.create(venue="sim", symbol="BTCUSDT", at=at, rate=Decimal("0.0002"), settled=settled)
    drawn = traces(figure(client, made, "?symbol=BTCUSDT&interval=3m&show=funding"))
    assert drawn["Funding"]["y"] == [0.02]


def test_entries_stops_and_targets_of_the_open_position_are_on_the_chart(client, made):
    drawn = traces(figure(client, made))
    position = Position.objects.get(symbol="BTCUSDT", closed=None)
    assert drawn["Entry long"]["y"] == [float(position.entry_price)]
    assert "0.018 at 70866.2" in drawn["Entry long"]["text"][0]
    assert drawn["Stop"]["y"][:2] == [float(position.stop)] * 2
    assert drawn["Target"]["y"][:2] == [float(position.target)] * 2
    assert traces(figure(client, made, "?symbol=SOLUSDT&interval=3m"))["Entry short"]


@pytest.mark.parametrize(("role", "name"), [("stop", "Stop hit"), ("target", "Target hit"), ("close", "Closed")])
def test_an_exit_is_marked_by_what_caused_it(client, made, role, name):
    fill = Fill.objects.filter(symbol="BTCUSDT", order__role="stop").first()
    at = made.now - timedelta(minutes=30)
    type(fill.order).objects.filter(pk=fill.order_id).update(role=role)
    Fill.objects.filter(pk=fill.pk).update(at=at)
    Position.objects.filter(pk=fill.position_id).update(opened=at - timedelta(minutes=20), closed=at, stop=fill.price)
    drawn = traces(figure(client, made))
    assert drawn[name]["y"] == [float(fill.price)]
    assert float(fill.price) in drawn["Stop"]["y"], "its stop is drawn over its life"
    assert name in {mark[0] for mark in MARKS.values()}


def test_trades_of_another_account_are_not_on_the_chart(client, made):
    other = demo("other@vibex.local", now=made.now, feed=False, cycles=1, equity_points=2)
    Fill.objects.filter(account=other.account).update(price=1)
    assert 1.0 not in traces(figure(client, made))["Entry long"]["y"]


def test_times_are_those_of_the_readers_zone(client, made):
    utc = traces(figure(client, made))["BTCUSDT"]["x"][0]
    made.user.time_zone = "Asia/Kathmandu"
    made.user.save()
    there = traces(figure(client, made))["BTCUSDT"]["x"][0]
    moved = timezone.datetime.fromisoformat(there) - timezone.datetime.fromisoformat(utc)
    assert moved == timedelta(hours=5, minutes=45)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "symbol"),
        ("?symbol=PEPEUSDT", "symbol"),
        ("?symbol=BTC%0AUSDT", "symbol"),
        ("?symbol=BTCUSDT&interval=7m", "interval"),
        ("?symbol=BTCUSDT&show=moon", "show"),
        ("?symbol=BTCUSDT&bars=5", "bars"),
        ("?symbol=BTCUSDT&bars=all", "bars"),
    ],
)
def test_a_figure_that_cannot_be_made_says_which_parameter_is_wrong(client, made, query, field):
    answer = client.get(f"/accounts/{made.account.pk}/market/figure/{query}")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_a_figure_of_a_market_that_was_never_set_up_is_not_there(client):
    user = person()
    account = account_of(user, venue="nowhere")
    client.force_login(user)
    assert client.get(f"/accounts/{account.pk}/market/figure/?symbol=BTCUSDT").status_code == 404


def test_a_figure_costs_a_bounded_number_of_queries(client, made):
    figure(client, made)
    with CaptureQueriesContext(connection) as asked:
        figure(client, made, "?symbol=BTCUSDT&interval=3m&show=funding")
    assert len(asked) <= 8, [query["sql"][:90] for query in asked]
