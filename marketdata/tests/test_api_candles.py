"""Candles over the API: the same whichever page they come on, and nothing missed between two pages."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model

from marketdata.domain.resample import resample
from marketdata.models import Candle
from marketdata.tests.build import START, walk
from marketdata.tests.stored import COUNT, HOUR, NOW, VENUE, venue_of
from vibex.lib.clock import from_ms

pytestmark = pytest.mark.django_db
PATH = "/api/v1/market/candles/"


@pytest.fixture
def client(client):
    client.force_login(get_user_model().objects.create_user("someone@example.com", "a password that is long"))
    return client


@pytest.fixture
def feed():
    return venue_of()


def told(client, url=PATH, **query):
    asked = {"venue": VENUE, "symbol": "BTCUSDT", **query} if url == PATH else query
    answer = client.get(url, asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


def times(page):
    return [datetime.fromisoformat(row[0]) for row in page["rows"]]


def whole(interval):
    made = resample(walk(COUNT), interval)
    columns = (made.open_time, made.open, made.high, made.low, made.close, made.volume)
    return [
        [f"{from_ms(int(at)):%Y-%m-%dT%H:%M:%SZ}", *map(float, values), True]
        for at, *values in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("interval", ["1h", "4h", "1d"])
@pytest.mark.parametrize("way", ["back", "on"])
def test_all_pages_together_are_all_candles(client, feed, interval, way):
    page = told(client, interval=interval, limit=7, **({"since": "2000-01-01"} if way == "on" else {}))
    assert page["columns"] == ["open_time", "open", "high", "low", "close", "volume", "closed"]
    pages = [page["rows"]]
    while link := page["previous" if way == "back" else "next"]:
        page = told(client, link)
        pages.append(page["rows"])
    rows = [row for rows in (pages if way == "on" else pages[::-1]) for row in rows]
    assert rows == whole(interval)


def test_a_hole_is_no_end_and_a_candle_with_a_hole_is_the_same_on_every_page(client, feed):
    Candle.objects.filter(open_time__gte=START + 10 * HOUR, open_time__lt=START + 41 * HOUR).delete()
    Candle.objects.filter(open_time=START + 60 * HOUR).delete()
    everything = told(client, interval="4h", limit=1000)["rows"]
    page = told(client, interval="4h", limit=3)
    seen = page["rows"]
    while page["previous"]:
        page = told(client, page["previous"])
        assert page["rows"], "a page in the middle is never empty"
        seen = page["rows"] + seen
    assert seen == everything
    assert all(row[0] != "" for row in seen)


def test_a_span_holds_what_opens_in_it(client, feed):
    span = {"since": (START + 2.5 * HOUR).isoformat(), "until": (START + 6 * HOUR).isoformat()}
    page = told(client, **span)
    assert times(page) == [START + n * HOUR for n in (3, 4, 5)]
    assert page["next"] is None
    assert times(told(client, until=(START + 2.5 * HOUR).isoformat(), limit=2)) == [START + HOUR, START + 2 * HOUR]


def test_the_candle_that_is_not_over_comes_when_asked_for(client, feed):
    row = Candle.objects.order_by("-open_time").first()
    Candle.objects.create(
        venue=VENUE, symbol="BTCUSDT", interval="1h", open_time=NOW, open=row.close, high=row.close + 9, low=row.close,
        close=row.close + 1, volume=3.0, closed=False,
    )  # fmt: skip
    feed.wall_at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    feed.save()
    with time_machine.travel(feed.wall_at + timedelta(minutes=20), tick=False):
        client.force_login(get_user_model().objects.get())
        assert told(client, limit=1)["rows"][-1][-1] is True
        assert told(client, limit=1, forming="true")["rows"][-1] == [
            f"{NOW:%Y-%m-%dT%H:%M:%SZ}", row.close, row.close + 9, row.close, row.close + 1, 3.0, False,
        ]  # fmt: skip
        longer = told(client, interval="4h", forming="true")["rows"]
        assert [row[-1] for row in longer[-2:]] == [True, False]
        early = told(client, until=START.isoformat(), forming="true")
        assert early["rows"] == []


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"venue": "mars"}, "venue", VENUE),
        ({"symbol": "NOPE"}, "symbol", "BTCUSDT"),
        ({"symbol": "a\x00b"}, "symbol", ""),
        ({"interval": "1m"}, "interval", "1h, 4h, 1d"),
        ({"interval": "7m"}, "interval", ""),
        ({"limit": 1001}, "limit", ""),
        ({"limit": 0}, "limit", ""),
        ({"since": "noon"}, "since", ""),
        ({"step": 1}, "step", ""),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(client, feed, query, field, says):
    answer = client.get(PATH, {"venue": VENUE, "symbol": "BTCUSDT", **query})
    assert answer.status_code == 400
    assert says in str(answer.json().get("errors", {}).get(field, answer.json()["detail"]))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_the_ends_of_time_are_moments_like_others(client, feed, at, interval):
    assert told(client, since=at, interval=interval, limit=2)["rows"] == (whole(interval)[:2] if at < "1" else [])
    assert told(client, until=at, interval=interval, limit=2)["rows"] == (whole(interval)[-2:] if at > "1" else [])
    assert told(client, since=at, until=at)["rows"] == []


def test_a_page_takes_two_queries(client, feed, django_assert_num_queries):
    told(client)
    with django_assert_num_queries(4):  # session and person; the feed with the ends of its candles, and candles
        told(client, interval="4h")


def test_nobody_reads_without_signing_in(client, feed):
    client.logout()
    assert client.get(PATH).status_code in (401, 403)
