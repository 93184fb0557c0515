"""The market of now, the contracts and the feeds over the API: as bots see them, without being in their way."""

from datetime import timedelta
from math import isnan

import pytest
from django.contrib.auth import get_user_model

from marketdata import database_market
from marketdata.models import Candle, Feed, Instrument, Ticker
from marketdata.selectors import seen_now
from marketdata.tests.build import walk
from marketdata.tests.stored import NOW, VENUE, look, venue_of

pytestmark = pytest.mark.django_db
SNAPSHOT, INSTRUMENTS, FEEDS = (f"/api/v1/market/{name}/" for name in ("snapshot", "instruments", "feeds"))


@pytest.fixture(autouse=True)
def _nothing_read():
    seen_now._stores.clear()


@pytest.fixture
def client(client):
    client.force_login(get_user_model().objects.create_user("someone@example.com", "a password that is long"))
    return client


def told(client, path=SNAPSHOT, **query):
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def stands(**feed):
    """Store a market whose clock stands at NOW."""
    return venue_of(**{"running": False, **feed})


def test_the_snapshot_has_what_a_bot_sees(client):
    stands()
    page = told(client, venue=VENUE, symbols="BTCUSDT", intervals="1h,4h")
    (one,), view = page["symbols"], look()
    assert (page["at"], page["later"]) == (f"{NOW:%Y-%m-%dT%H:%M:%SZ}", [])
    assert one["price"]["last"] == f"{view.quote.last.normalize():f}"
    assert one["funding"]["next_at"] == f"{view.quote.next_funding_at:%Y-%m-%dT%H:%M:%SZ}"
    assert one["ages"]["quote"] == view.ages["quote"].total_seconds()
    for name, frame in view.timeframes.items():
        assert one["intervals"][name]["candle"]["close"] == frame.candles.close[-1]
        newest = {key: float(values[-1]) for key, values in frame.indicators.items()}
        known = {key: None if isnan(value) else value for key, value in newest.items()}
        assert one["intervals"][name]["indicators"] == known


def test_what_is_not_known_yet_is_null_and_never_a_word(client):
    stands(candles=walk(5))
    answer = client.get(SNAPSHOT, {"venue": VENUE, "intervals": "1h,1d"})
    (one,) = answer.json()["symbols"]
    assert one["intervals"]["1h"]["indicators"]["ema50"] is None
    assert one["intervals"]["1d"]["candle"] is None
    assert one["ages"]["1d"] is None
    assert one["problem"]
    assert not any(word in answer.content.decode() for word in ("NaN", "Infinity"))


def test_a_symbol_without_a_price_says_so(client):
    stands()
    Ticker.objects.all().delete()
    (one,) = told(client, venue=VENUE)["symbols"]
    assert one["price"] is None
    assert "price" in one["problem"]


def test_who_looks_makes_no_process_forget_what_bots_decide_on(client):
    stands()
    look()
    kept = dict(database_market.STORE._series)
    Feed.objects.create(venue="other", kind="recorded", market_at=NOW, wall_at=NOW, interval="1h")
    told(client, venue=VENUE, intervals="4h")
    told(client, venue="other")
    assert database_market.STORE._series == kept


def test_what_would_take_long_is_left_for_the_next_time(client, monkeypatch):
    stands()
    rows = list(Candle.objects.all())
    for symbol in ("AAA", "ZZZ"):
        instrument = Instrument.objects.get(symbol="BTCUSDT")
        instrument.pk, instrument.symbol = None, symbol
        instrument.save()
        Candle.objects.bulk_create(
            Candle(**{f.name: getattr(row, f.name) for f in Candle._meta.concrete_fields} | {"symbol": symbol})
            for row in rows
        )
    monkeypatch.setattr(seen_now.seen_now, "__kwdefaults__", {"patience": -1.0})
    assert [told(client, venue=VENUE)["later"] for _ in range(3)] == [["BTCUSDT", "ZZZ"], ["ZZZ"], []]
    assert [row["symbol"] for row in told(client, venue=VENUE)["symbols"]] == ["AAA", "BTCUSDT", "ZZZ"]


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"venue": "mars"}, "venue", VENUE),
        ({"symbols": "BTCUSDT,NOPE"}, "symbols", "There is no NOPE here. There is: BTCUSDT."),
        ({"intervals": "1m"}, "intervals", "1h, 4h, 1d"),
        ({"intervals": ","}, "intervals", "up to 3"),
        ({"symbols": ",".join(f"S{n}" for n in range(21))}, "symbols", "up to 20"),
        ({"depth": 1}, "depth", "no such parameter"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(client, query, field, says):
    stands()
    answer = client.get(SNAPSHOT, {"venue": VENUE, **query})
    assert answer.status_code == 400
    assert says in answer.json()["errors"][field][0]


def test_contracts_tell_their_rules_and_can_be_narrowed(client):
    stands()
    (line,) = told(client, INSTRUMENTS, venue=VENUE, followed="true", symbol="BTCUSDT")["results"]
    assert line["tick_size"] == "0.1"
    assert "brackets" not in line
    whole = told(client, f"{INSTRUMENTS}{line['id']}/")
    assert {name: whole[name] for name in line} == line
    assert isinstance(whole["brackets"], list)
    assert told(client, INSTRUMENTS, venue="mars")["results"] == []
    assert client.get(INSTRUMENTS, {"venu": VENUE}).status_code == 400


def test_contracts_have_a_tag_that_changes_with_them(client):
    stands()
    tag = client.get(INSTRUMENTS)["ETag"]
    assert client.get(INSTRUMENTS, HTTP_IF_NONE_MATCH=tag).status_code == 304
    Instrument.objects.update(status="BREAK")
    assert client.get(INSTRUMENTS, HTTP_IF_NONE_MATCH=tag).status_code == 200


def test_feeds_tell_how_fresh_everything_is(client, django_assert_num_queries):
    stands(source="/home/somebody/candles", note="a replay")
    Instrument.objects.create(
        venue=VENUE, symbol="NEW", base="NEW", tick_size=1, step_size=1, min_quantity=1, max_quantity=1, maker_fee=0,
        taker_fee=0,
    )  # fmt: skip
    told(client, FEEDS)
    with django_assert_num_queries(4):  # session and person; feeds and what they follow
        (feed,) = told(client, FEEDS)
    assert (feed["venue"], feed["running"], feed["interval"]) == (VENUE, False, "1h")
    assert feed["symbols"] == [
        {"symbol": "BTCUSDT", "price_age": 0.0, "candle_age": 0.0},
        {"symbol": "NEW", "price_age": None, "candle_age": None},
    ]
    assert "somebody" not in str(feed)
    Feed.objects.update(market_at=NOW + timedelta(seconds=30))
    assert told(client, FEEDS)[0]["symbols"][0]["price_age"] == 30.0


def test_nobody_reads_without_signing_in(client):
    client.logout()
    for path in (SNAPSHOT, INSTRUMENTS, FEEDS):
        assert client.get(path).status_code in (401, 403)
