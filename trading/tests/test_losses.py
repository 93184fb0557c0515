"""Loss limits, as pure arithmetic: the day, the unit, the floor, and numbers that are none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS
from decisions.domain.proposal import Side
from trading.domain import losses
from trading.domain.losses import Watch, advance, begin, breaches, day_loss, drawdown, next_midnight
from trading.domain.venue import AccountState, VenuePosition

D = Decimal
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LIMITS = replace(DEFAULTS, daily_loss=D("0.03"), max_drawdown=D("0.15"), equity_floor=None)
CLOSE = D("1e-9")


def began(equity: str = "10000", transfers: str = "10000", at: datetime = NOON, zone: str = "UTC") -> Watch:
    return begin(equity=D(equity), transfers=D(transfers), at=at, zone=zone)


def on(
    watch: Watch,
    equity: str | Decimal,
    transfers: str | Decimal | None = None,
    *,
    later: timedelta = timedelta(minutes=1),
):
    moved = watch.transfers if transfers is None else D(transfers)
    return advance(watch, equity=D(equity), transfers=moved, at=watch.at + later, zone=watch.zone)


def kinds(watch: Watch, **limits) -> list[str]:
    return [found.kind for found in breaches(watch, replace(LIMITS, **limits))]


# -- the day ---------------------------------------------------------------------------------------------------------


def test_the_days_loss_is_a_share_of_what_the_day_began_with():
    assert day_loss(on(began(), "9700")) == D("0.03")
    assert day_loss(on(began(), "10100")) == D("-0.01")


@pytest.mark.parametrize(("equity", "reached"), [("9700.01", []), ("9700", ["loss.day"]), ("9699.99", ["loss.day"])])
def test_the_days_loss_is_reached_at_its_edge(equity, reached):
    assert kinds(on(began(), equity)) == reached


def test_a_deposit_hides_no_loss_and_a_withdrawal_is_none():
    assert kinds(on(began(), "10180", "10500")) == ["loss.day"]
    assert kinds(on(began(), "10210", "10500")) == []
    assert kinds(on(began(), "100", "100")) == []
    assert kinds(on(began(), "0", "0")) == []


def test_the_words_name_the_numbers():
    (found,) = breaches(on(began(), "10180", "10500"), LIMITS)
    assert "3.20 %" in found.text
    assert "3.00 %" in found.text
    assert "10,180.00" in found.text
    assert "500.00" in found.text
    assert found.numbers["loss"] == D("0.032")
    assert found.numbers["limit"] == D("0.03")


def test_a_new_day_begins_with_what_was_known_before_it():
    evening = began(at=datetime(2026, 3, 10, 23, 59, tzinfo=UTC))
    lost = on(evening, "9800", later=timedelta(seconds=30))
    morning = on(lost, "9700", later=timedelta(minutes=1))
    assert (morning.day_equity, morning.day_ends) == (D(9800), datetime(2026, 3, 12, tzinfo=UTC))
    assert day_loss(morning) == 1 - D(9700) / D(9800)


def test_several_days_at_once_are_one_new_day_that_answers_for_all_of_them():
    watch = on(began(), "9600", later=timedelta(days=5))
    assert watch.day_equity == D(10000)
    assert watch.day_ends == datetime(2026, 3, 16, tzinfo=UTC)
    assert kinds(watch) == ["loss.day"]


def test_the_moment_a_day_ends_belongs_to_the_next():
    watch = began()
    assert on(watch, "9900", later=timedelta(hours=12)).day_ends == datetime(2026, 3, 12, tzinfo=UTC)
    assert on(watch, "9900", later=timedelta(hours=12) - timedelta(microseconds=1)).day_ends == watch.day_ends


def test_a_transfer_of_yesterday_is_not_counted_today():
    yesterday = on(began(), "10500", "10500")
    today = on(yesterday, "10400", later=timedelta(days=1))
    assert day_loss(today) == 1 - D(10400) / D(10500)


@pytest.mark.parametrize(
    ("zone", "at", "midnight"),
    [
        ("UTC", datetime(2026, 3, 10, 0, tzinfo=UTC), datetime(2026, 3, 11, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),  # 23 hours
        ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),  # 25 hours
        ("America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 3, 10, 18, 29, tzinfo=UTC), datetime(2026, 3, 10, 18, 30, tzinfo=UTC)),
        # Clocks that skip midnight, pass it twice, or leave out a whole day.
        ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC), datetime(2026, 4, 23, 22, tzinfo=UTC)),
        ("America/Havana", datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("America/Havana", datetime(2026, 11, 1, 4, 30, tzinfo=UTC), datetime(2026, 11, 2, 5, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 30, 9, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC)),
        ("No/Such_Place", datetime(2026, 3, 10, 5, tzinfo=UTC), datetime(2026, 3, 11, 0, tzinfo=UTC)),
    ],
)
def test_the_day_ends_at_midnight_of_the_accounts_time_zone(zone, at, midnight):
    assert next_midnight(at, zone) == midnight


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "America/Havana",
    "America/St_Johns",
    "Pacific/Apia",
]


@given(
    at=st.integers(min_value=946_684_800, max_value=2_114_380_800).map(partial(datetime.fromtimestamp, tz=UTC)),
    zone=st.sampled_from(ZONES),
)
def test_midnight_always_lies_ahead_and_no_two_days_away(at, zone):
    ends = next_midnight(at, zone)
    assert timedelta(0) < ends - at <= timedelta(hours=26)
    assert ends.astimezone(ZoneInfo(zone)).date() > at.astimezone(ZoneInfo(zone)).date()


def test_a_changed_zone_counts_from_the_next_day():
    watch = began(zone="UTC")
    moved = advance(watch, equity=D(9900), transfers=D(10000), at=NOON + timedelta(hours=6), zone="Asia/Tokyo")
    assert (moved.zone, moved.day_ends, moved.day_equity) == ("UTC", watch.day_ends, D(10000))
    tomorrow = advance(moved, equity=D(9890), transfers=D(10000), at=watch.day_ends, zone="Asia/Tokyo")
    assert (tomorrow.zone, tomorrow.day_ends) == ("Asia/Tokyo", datetime(2026, 3, 11, 15, tzinfo=UTC))


# -- the unit --------------------------------------------------------------------------------------------------------


def test_the_drawdown_is_from_the_peak_of_a_unit():
    watch = on(on(began(), "12000"), "10200")
    assert drawdown(watch) == D("0.15")
    assert "loss.drawdown" in kinds(watch)
    assert "loss.drawdown" not in kinds(on(on(began(), "12000"), "10200.01"))


def test_a_withdrawal_of_nearly_all_is_no_drawdown_and_what_is_left_goes_on_counting():
    watch = on(began(), "100", "100")
    assert (watch.unit, drawdown(watch)) == (D(1), D(0))
    assert drawdown(on(watch, "80")) == D("0.2")


def test_dust_is_no_money_a_cent_lost_of_two_is_no_drawdown_and_what_comes_in_is_what_it_begins_with():
    dust = on(began(), "0.02", "0.02")
    lost = on(dust, "0.01")
    assert drawdown(lost) == 0
    filled = on(lost, "9990", "10000.02")
    assert drawdown(filled).quantize(D("1e-6")) == D("0.001001")
    tomorrow = on(on(lost, "0.01", later=timedelta(days=1)), "9990", "10000.02")
    assert kinds(tomorrow) == []
    assert D(0) < day_loss(tomorrow) < D("0.0011")


@pytest.mark.parametrize("nothing", ["0", "-12.5"])
def test_an_account_that_lost_all_stays_at_its_loss_also_after_a_deposit(nothing):
    gone = on(began(), nothing)
    assert (gone.unit, drawdown(gone)) == (D(0), D(1))
    assert kinds(gone) == ["loss.day", "loss.drawdown"]
    again = on(gone, D(nothing) + 5000, "15000")
    assert drawdown(again) == 1
    assert "loss.day" in kinds(again)


def test_an_account_that_begins_with_nothing_has_lost_nothing_until_it_loses():
    empty = begin(equity=D(0), transfers=D(0), at=NOON, zone="UTC")
    assert kinds(empty) == []
    assert (day_loss(empty), drawdown(empty)) == (D(0), D(0))
    funded = on(empty, "1000", "1000")
    assert kinds(funded) == []
    assert day_loss(funded) == 0
    assert kinds(on(funded, "960")) == ["loss.day"]


# -- numbers that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_leaves_the_watch_as_it_was(number):
    watch = on(began(), "9690")
    assert on(watch, number) is watch
    assert on(watch, "9690", number) is watch
    assert kinds(watch) == ["loss.day"]
    with pytest.raises(ValueError, match="no watch can begin"):
        began(number)


def test_a_statement_of_before_does_not_move_the_watch_back_and_a_repeated_one_counts_once():
    watch = on(on(began(), "12000"), "11000")
    assert on(watch, "5000", later=timedelta(seconds=-1)) is watch
    assert on(watch, "11000", later=timedelta(0)) == watch
    corrected = on(watch, "10500", later=timedelta(0))
    assert corrected.unit == D("1.05")


def state(**given) -> AccountState:
    fields = {"wallet": D(10000), "unrealised": D(0), "margin": D(0), "available": D(10000), **given}
    return AccountState(at=NOON, **fields)


def held(**given) -> VenuePosition:
    fields = {"mark_price": D(100), "unrealised": D(0), **given}
    return VenuePosition("BTCUSDT", Side.LONG, D(1), D(100), leverage=2, margin=D(50), **fields)


@pytest.mark.parametrize(
    "unsure",
    [
        state(wallet=D("NaN")),
        state(unrealised=D("Infinity")),
        state(positions=(held(mark_price=D("NaN")),)),
        state(positions=(held(mark_price=D(0)),)),
        state(positions=(held(mark_price=D(-1)),)),
        state(positions=(held(unrealised=D("sNaN")),)),
    ],
)
def test_the_equity_is_not_known_without_a_usable_mark(unsure):
    assert losses.unknown_equity(unsure)


def test_the_equity_is_known_when_every_position_has_a_mark():
    assert losses.unknown_equity(state(positions=(held(),))) == ""


# -- the floor, and lifting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("equity", "reached"), [("9900.01", []), ("9900", []), ("9899.99", ["loss.floor"])])
def test_the_floor_is_reached_below_it(equity, reached):
    assert kinds(on(began(), equity), equity_floor=D(9900)) == reached


def test_after_a_lift_of_the_day_the_equity_of_now_is_what_it_began_with():
    watch = losses.day_anew(on(began(), "9600", "10100"))
    assert day_loss(watch) == 0
    assert kinds(on(watch, "9312")) == ["loss.day"]
    assert drawdown(watch) == D("0.05")


def test_after_a_lift_of_the_drawdown_the_value_of_now_is_the_peak():
    watch = losses.peak_anew(on(on(began(), "12000"), "9000"))
    assert drawdown(watch) == 0
    assert drawdown(on(watch, "8100")) == D("0.1")
    wiped = losses.peak_anew(on(began(), "0"))
    assert (wiped.unit, drawdown(wiped)) == (D(1), D(0))


def test_the_example_of_the_page_is_right():
    """docs/loss-limits.md, line by line."""
    watch = began()
    told = [(day_loss(watch), watch.unit, drawdown(watch))]
    for equity, transfers, lifts in (
        ("9800", None, False),
        ("10300", "10500", False),
        ("10200", None, True),
        ("1200", "1500", False),
        ("1100", None, False),
    ):
        watch = on(watch, equity, transfers)
        told.append((day_loss(watch), watch.unit, drawdown(watch)))
        watch = losses.day_anew(watch) if lifts else watch
    assert [tuple(f"{value:.4f}" for value in line) for line in told] == [
        ("0.0000", "1.0000", "0.0000"),
        ("0.0200", "0.9800", "0.0200"),
        ("0.0200", "0.9800", "0.0200"),
        ("0.0300", "0.9705", "0.0295"),
        ("0.0000", "0.9705", "0.0295"),
        ("0.0098", "0.8896", "0.1104"),
    ]


# -- for any course of things ------------------------------------------------------------------------------------------

equities = st.decimals(min_value=50, max_value=1_000_000, places=8)
shares = st.decimals(min_value="-0.9", max_value="2", places=4)
flows = st.decimals(min_value="-5000", max_value="50000", places=2)


@given(start=equities, course=st.lists(st.tuples(shares, flows), max_size=20))
def test_money_that_comes_and_goes_never_changes_the_drawdown(start, course):
    """After the same shares were won and lost a unit is worth the same, whatever was paid in and out in between."""
    watch, worth, peak = begin(equity=start, transfers=start, at=NOON, zone="UTC"), D(1), D(1)
    for won, wanted in course:
        after = max(watch.equity * (1 + won), D(2))
        worth *= after / watch.equity
        peak = max(peak, worth)
        watch = on(watch, after)
        before = drawdown(watch)
        flow = max(wanted, 2 - after)
        watch = on(watch, after + flow, watch.transfers + flow)
        assert drawdown(watch) == before
    assert abs(drawdown(watch) - (1 - worth / peak)) <= CLOSE


@given(
    equity=equities,
    end=equities,
    flow=st.decimals(min_value=0, max_value=50000, places=2),
    between=st.lists(st.integers(min_value=1, max_value=999), max_size=20, unique=True),
)
def test_how_many_statements_lie_between_makes_no_difference(equity, end, flow, between):
    start = begin(equity=equity, transfers=equity, at=NOON, zone="UTC")
    start = on(start, equity + flow, equity + flow)
    hour = timedelta(hours=1)
    many = start
    for part in sorted(between):
        passed = start.equity + (end - start.equity) * part / 1000
        many = advance(many, equity=passed, transfers=start.transfers, at=start.at + hour * part / 1000, zone="UTC")
    many, few = (
        advance(watch, equity=end, transfers=start.transfers, at=start.at + hour, zone="UTC") for watch in (many, start)
    )
    assert day_loss(many) == day_loss(few)
    assert abs(many.unit - few.unit) <= CLOSE * max(few.unit, D(1))
    assert abs(drawdown(many) - drawdown(few)) <= CLOSE


@given(course=st.lists(st.tuples(st.decimals(-1000, 100000, places=8), flows), min_size=1, max_size=30))
def test_shares_stay_shares_and_digits_stay_few_whatever_happens(course):
    watch, total = began(), D(10000)
    for equity, flow in course:
        total += flow
        watch = on(watch, equity, total, later=timedelta(hours=7))
        assert 0 <= drawdown(watch) <= 1
        assert 0 <= watch.unit <= watch.peak
        assert len(watch.unit.normalize().as_tuple().digits) <= 15
        assert watch.at < watch.day_ends
