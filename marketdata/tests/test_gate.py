"""Every input of a snapshot has an age limit; what is older, missing or no number makes the symbol hold and says why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.assess import LIMITS, FeedState, feed_problem, market_problem, quote_problem
from marketdata.models import Feed
from marketdata.tests.build import walk
from marketdata.tests.stored import NOW, VENUE, look, prices, venue_of
from vibex.lib.env import ROOT

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WATCHED = {
    "mark_at": NOW,
    "funding_at": NOW,
    "funding_rate": Decimal("0.0001"),
    "open_interest_at": NOW,
    "open_interest": Decimal(5),
    "changed_at": NOW,
}
"""Every input with a time of its own, all of them fresh."""


def found(quote, *, speed=1.0, at=NOW):
    problem = quote_problem(quote, at=at, speed=speed)
    return problem.code if problem else None


AGES = {
    "price.old": ({"at": NOW - 30 * SECOND}, SECOND),
    "price.future": ({"at": NOW + 30 * SECOND}, -SECOND),
    "mark.old": ({"mark_at": NOW - 30 * SECOND}, SECOND),
    "book.frozen": ({"changed_at": NOW - 15 * MINUTE}, SECOND),
    "funding.old": ({"funding_at": NOW - 10 * MINUTE}, SECOND),
    "funding.overdue": ({"next_funding_at": NOW - 2 * MINUTE}, SECOND),
    "interest.old": ({"open_interest_at": NOW - 20 * MINUTE}, SECOND),
}
"""Code of the problem: the oldest value that is still good enough, and what makes it too old."""


@pytest.mark.parametrize(("code", "case"), AGES.items(), ids=AGES)
def test_each_input_is_good_up_to_its_limit_and_not_beyond(code, case):
    (changes, more) = case
    (name, at) = next(iter(changes.items()))
    values = {**WATCHED, "at": NOW, **changes}
    assert found(prices(**values)) is None
    assert found(prices(**{**values, name: at - more})) == code


@pytest.mark.parametrize(("code", "case"), AGES.items(), ids=AGES)
def test_a_fast_replay_has_as_many_wall_seconds(code, case):
    (name, at) = next(iter(case[0].items()))
    values = {**WATCHED, "at": NOW, name: NOW - (NOW - at) * 60}
    assert found(prices(**values), speed=60.0) is None
    assert found(prices(**{**values, name: NOW - (NOW - at) * 61}), speed=60.0) == code


def test_an_input_without_a_time_is_not_watched():
    assert found(prices(next_funding_at=NOW - 5 * 60 * MINUTE, open_interest=Decimal(1))) is None


NAN, ENDLESS, HALF = Decimal("NaN"), Decimal("Infinity"), prices().last / 2
GARBAGE = {
    "no last": ({"last": Decimal(0)}, "price.none"),
    "negative bid": ({"bid": Decimal(-1)}, "price.none"),
    "NaN ask": ({"ask": NAN}, "price.none"),
    "NaN mark": ({"mark": NAN}, "price.none"),
    "endless last": ({"last": ENDLESS}, "price.none"),
    "crossed": ({"bid": prices().ask, "ask": prices().bid}, "price.crossed"),
    "touching": ({"bid": prices().ask}, "price.crossed"),
    "apart": ({"mark": HALF}, "price.apart"),
    "ask far above": ({"ask": prices().mark * Decimal("1.0101")}, "price.wide"),
    "bid far below": ({"bid": prices().mark * Decimal("0.9899")}, "price.wide"),
    "NaN funding": ({"funding_rate": NAN}, "funding.none"),
    "NaN interest": ({"open_interest": NAN}, "interest.none"),
    "negative interest": ({"open_interest": Decimal(-1)}, "interest.none"),
}


@pytest.mark.parametrize(("changes", "code"), GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_price_is_named(changes, code):
    assert found(prices(**changes)) == code


numbers = st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from([Decimal(0), Decimal(-1), Decimal(50_000)])
times = st.none() | st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2050, 1, 1))  # noqa: DTZ001


@given(
    st.fixed_dictionaries(dict.fromkeys(("last", "bid", "ask", "mark"), numbers)),
    st.fixed_dictionaries(
        dict.fromkeys(("mark_at", "funding_at", "open_interest_at", "changed_at", "next_funding_at"), times)
    ),
)
def test_whatever_a_venue_says_is_judged_and_only_sound_prices_pass(values, moments):
    problem = quote_problem(prices(**values, **moments), at=NOW)
    if problem is None:
        assert 0 < values["bid"] < values["ask"]
        assert abs(values["last"] / values["mark"] - 1) <= Decimal("0.0101")
    else:
        assert problem.text
        assert problem.code


@pytest.mark.parametrize(
    ("interval", "share", "code"),
    [
        ("1m", "1.04", None),
        ("1m", "1.06", "candle.apart"),
        ("1m", "0.94", "candle.apart"),
        ("1h", "1.06", None),
        ("1h", "0.7", "candle.far"),
    ],
)
def test_candles_of_another_market_are_noticed(interval, share, code):
    base = walk(20, interval)
    last = Decimal(str(base.close[-1])) * Decimal(share)
    problem = market_problem(base, prices(last=last))
    assert (problem.code if problem else None) == code


# -- the feed and the clock ---------------------------------------------------------------------------------------

LIVE = FeedState("aster", live=True, heartbeat=NOW, clock_offset=0.2, clock_checked=NOW)
FEEDS = {
    "says": (replace(LIVE, problem="the venue is closed"), "feed.says", "the venue is closed"),
    "stopped": (replace(LIVE, running=False), "feed.stopped", "the feed of aster is not running"),
    "stopped since": (
        replace(LIVE, running=False, stopped_at=NOW),
        "feed.stopped",
        "the feed of aster is not running",
    ),
    "caught up long ago": (
        replace(LIVE, running=False, stopped_at=NOW - 90 * SECOND, heartbeat=NOW - 45 * SECOND),
        "feed.silent",
        "the feed of aster has written nothing for 45 s",
    ),
    "never": (replace(LIVE, heartbeat=None), "feed.silent", "the feed of aster has never written"),
    "silent": (
        replace(LIVE, heartbeat=NOW - 45 * SECOND),
        "feed.silent",
        "the feed of aster has written nothing for 45 s",
    ),
    "ahead": (replace(LIVE, clock_offset=5.1), "clock.wrong", "timedatectl set-ntp true"),
    "behind": (replace(LIVE, clock_offset=-7200.0), "clock.wrong", "timedatectl set-ntp true"),
    "no number": (replace(LIVE, clock_offset=float("nan")), "clock.wrong", "timedatectl set-ntp true"),
    "unasked": (replace(LIVE, clock_offset=None), "clock.unchecked", "has not been compared"),
    "long ago": (replace(LIVE, clock_checked=NOW - 31 * MINUTE), "clock.unchecked", "31 min ago"),
}


@pytest.mark.parametrize(("feed", "code", "text"), FEEDS.values(), ids=FEEDS)
def test_a_feed_that_cannot_be_relied_on_holds_everything(feed, code, text):
    problem = feed_problem(feed, wall=NOW)
    assert problem.code == code
    assert text in problem.text


@pytest.mark.parametrize(
    "feed",
    [
        LIVE,
        replace(LIVE, heartbeat=NOW - 30 * SECOND, clock_offset=-5.0, clock_checked=NOW - 30 * MINUTE),
        replace(LIVE, running=False, stopped_at=NOW - 5 * SECOND),
        FeedState("sim", heartbeat=NOW - 60 * MINUTE, clock_offset=99.0),
        FeedState("recorded", running=False),
    ],
)
def test_only_live_feeds_are_watched_and_only_beyond_their_limits(feed):
    assert feed_problem(feed, wall=NOW) is None


@pytest.mark.django_db
def test_a_market_that_stands_can_be_caught_up_with_for_one_look():
    """As `manage.py cycle` does where no server runs."""
    wall = datetime.now(UTC)
    venue_of(quote=told(), kind="live", running=False, heartbeat=wall - SECOND, clock_offset=0.1, clock_checked=wall)
    Feed.objects.filter(venue=VENUE).update(wall_at=wall)
    assert look().problem == f"the feed of {VENUE} is not running"
    Feed.objects.filter(venue=VENUE).update(heartbeat=datetime.now(UTC))
    assert look().problem is None


@pytest.mark.django_db
def test_the_gate_stands_before_every_symbol_of_a_stored_market():
    venue_of(quote=told(), kind="live", heartbeat=datetime.now(UTC), clock_offset=0.1, clock_checked=datetime.now(UTC))
    assert look().problem is None
    Feed.objects.filter(venue=VENUE).update(heartbeat=datetime.now(UTC) - 10 * MINUTE)
    view = look()
    assert view.problem == "the feed of recorded has written nothing for 10 min"
    assert view.reason["code"] == "feed.silent"
    assert view.reason["seconds"] == pytest.approx(600, abs=60)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("missing", "code"),
    [("mark_at", "mark.none"), ("funding_rate", "funding.none"), ("next_funding_at", "funding.none")],
)
def test_an_input_that_a_live_venue_has_not_told_holds(missing, code):
    quote = replace(told(), **{missing: None})
    venue_of(quote=quote, kind="live", heartbeat=datetime.now(UTC), clock_offset=0.1, clock_checked=datetime.now(UTC))
    assert look().reason["code"] == code


def told(**changes):
    """Return a quote as a live venue tells it."""
    return prices(funding_rate=Decimal("0.0001"), mark_at=NOW, funding_at=NOW, **changes)


@pytest.mark.django_db
def test_the_ages_of_a_stored_market_are_told():
    venue_of(quote=prices(**{**WATCHED, "mark_at": NOW - 3 * SECOND, "open_interest_at": NOW - 2 * MINUTE}))
    ages = look().ages
    assert (ages["mark"], ages["open_interest"], ages["funding"]) == (3 * SECOND, 2 * MINUTE, timedelta(0))


def test_the_page_shows_every_limit():
    page = (ROOT / "docs" / "market-data.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z.]+)` \| (.+?) \|$", page, flags=re.MULTILINE))
    assert {code: told.get(code) for code in LIMITS} == {code: limit.words for code, limit in LIMITS.items()}
