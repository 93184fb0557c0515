"""Desk and books show how near each limit is, which locks hold, until when, and how staff lifts them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import RiskLimits
from tests.support.demo import demo
from trading.models import Lock, LossWatch
from trading.selectors.gauges import gauges_of
from trading.selectors.standing import rules_of, standing_of

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def made(client):
    made = demo(cycles=2, equity_points=5)
    client.force_login(made.user)
    return made


def gauges(made):
    standing = standing_of(made.account, now=made.now, rules=rules_of(made.account.market))
    return {gauge.name: gauge for gauge in gauges_of(made.account, standing)}


def watch(made, **fields):
    LossWatch.objects.filter(account=made.account).update(**fields)


@pytest.mark.parametrize(
    ("equity", "used", "level"),
    [("10200", 0, "far"), ("10000", 0, "far"), ("9850", 50, "far"), ("9775", 75, "near"), ("9700", 100, "reached"),
     ("9000", 100, "reached")],
)  # fmt: skip
def test_the_day_is_measured_against_its_limit(made, equity, used, level):
    watch(made, equity=D(equity), day_equity=D(10_000), day_transfers=0, transfers=0)
    gauge = gauges(made)["Day's loss"]
    assert (gauge.used, gauge.level, gauge.limit) == (used, level, "3 %")


def test_what_is_left_of_the_day_is_told_in_money(made):
    watch(made, equity=D("9900"), day_equity=D(10_000))
    assert gauges(made)["Day's loss"].note == "200.00 left today"
    watch(made, equity=D("9600"))
    assert gauges(made)["Day's loss"].note == "nothing left today"


def test_the_way_from_the_peak_is_measured_on_units(made):
    watch(made, unit=D("0.94"), peak=D(1))
    gauge = gauges(made)["From its peak"]
    assert (gauge.now, gauge.limit, gauge.used) == ("6 % lost", "15 %", 40)


def test_a_floor_has_a_gauge_where_there_is_one(made):
    assert "Equity" not in gauges(made)
    made.account.limits.equity_floor = D(8000)
    watch(made, equity=D(10_000))
    assert gauges(made)["Equity"].used == 80
    watch(made, equity=D(-5))
    assert gauges(made)["Equity"].level == "reached"


def test_positions_margin_and_exposure_are_measured_as_they_stand(made):
    found = gauges(made)
    assert (found["Positions"].now, found["Positions"].limit, found["Positions"].used) == ("2", "3", 66)
    assert found["Margin"].limit == "50 %"
    assert 0 < found["Margin"].used < 100
    assert found["Gross exposure"].limit == "2 ×"


def test_before_anything_is_known_a_gauge_says_so(client, made):
    LossWatch.objects.all().delete()
    assert gauges(made)["Day's loss"].level == "unknown"
    assert "not known yet" in client.get(f"/accounts/{made.account.pk}/").content.decode()


def test_an_account_without_limits_has_no_gauges_and_its_pages_work(client, made):
    RiskLimits.objects.all().delete()
    for path in ("", "books/"):
        page = client.get(f"/accounts/{made.account.pk}/{path}")
        assert page.status_code == 200
        assert 'class="gauges"' not in page.content.decode()


@pytest.mark.parametrize("path", ["", "books/", "live/"])
def test_desk_and_books_show_gauges_and_locks(client, made, path):
    Lock.objects.create(account=made.account, symbol="", kind="loss.day", reason="the day lost 3.20 %")
    page = client.get(f"/accounts/{made.account.pk}/{path}").content.decode()
    assert page.count("gauge gauge-") == 5
    assert "All symbols: nothing is opened.</strong> The day lost 3.20 %" in page
    assert "until a person lifts it" in page


def test_a_lock_that_ended_is_not_shown_and_one_that_ends_says_when(client, made):
    now = timezone.now()
    Lock.objects.update(until=now - timedelta(minutes=1))
    Lock.objects.create(
        account=made.account, symbol="ETHUSDT", reason="It lost four times.", until=now + timedelta(hours=2)
    )
    page = " ".join(client.get(f"/accounts/{made.account.pk}/books/").content.decode().split())
    assert "Two stops in a row" not in page
    assert "It lost four times." in page
    assert ", until <time" in page


def test_only_staff_is_shown_how_to_lift(client, made):
    path = f"/accounts/{made.account.pk}/books/"
    assert "lift it in the admin" not in client.get(path).content.decode()
    made.user.is_staff = made.user.is_superuser = True
    made.user.save()
    page = client.get(path).content.decode()
    link = f"/admin/trading/lock/?lifted__isempty=1&amp;account__id__exact={made.account.pk}"
    assert link in page
    assert "DOGEUSDT" in client.get(link.replace("&amp;", "&")).content.decode()
