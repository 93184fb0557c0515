"""Performance, equity and balance over the API: from stored figures, one's own only, and odd input is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from trading.models import EquityPoint, LossWatch, PerformanceDay, Position
from trading.services.performance import performance_rebuild
from trading.tests.builders import make_account, make_bot
from trading.tests.figures_kit import History

pytestmark = pytest.mark.django_db

START = datetime(2026, 4, 1, tzinfo=UTC)


def told(client, path: str, status: int = 200):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.content
    return answer.json()


@pytest.fixture
def days(client):
    """Return an account of the signed-in person with three days: of two bots, and of a hand."""
    account = make_account("mine")
    client.force_login(account.owner)
    one, two = make_bot("one", account=account), make_bot("two", account=account)
    rows = (
        # day, whose, closed, won, realised, fees, funding, gain, loss, cost
        (1, one, "m/a", 2, 1, 30, 3, 1, 40, -12, 2),
        (1, two, "m/b", 1, 0, -20, 1, 0, 0, -21, 1),
        (2, one, "m/b", 1, 1, 10, 1, 0, 9, 0, 1),
        (3, None, "", 1, 1, 5, 0, 0, 5, 0, 0),
    )
    columns = ("closed", "won", "realised", "fees", "funding", "gain", "loss", "cost")
    equity = {1: (1000, 1006, 990, 1010, 0), 2: (1006, 1114, 1000, 1120, 100), 3: (1114, 1119, 1110, 1119, 0)}
    names = ("equity_first", "equity_last", "equity_lowest", "equity_highest", "transfers")
    for day in equity:
        mine = [row for row in rows if row[0] == day]
        sums = {name: sum(row[3 + place] for row in mine) for place, name in enumerate(columns)}
        whole = dict(zip(names, equity[day], strict=True))
        PerformanceDay.objects.create(account=account, day=START.date().replace(day=day), **sums, **whole)
        for _, bot, model, *values in mine:
            if bot is not None:
                sums = dict(zip(columns, values, strict=True))
                PerformanceDay.objects.create(
                    account=account, bot=bot, model=model, day=START.date().replace(day=day), **sums
                )
    return account


def test_the_totals_of_an_account_are_net_of_everything_with_its_equity_beside_them(client, days):
    found = told(client, f"accounts/{days.pk}/performance/?by=day")
    total = found["total"]
    assert (total["gross"], total["fees"], total["funding"], total["net"]) == ("25", "5", "1", "21")
    assert (total["model_cost"], total["net_after_cost"]) == ("4", "17")
    assert (total["trades"], total["won"], total["hit_rate"]) == (5, 3, 0.6)
    assert total["hit_rate_low"] == pytest.approx(0.2307, abs=1e-4)
    assert total["hit_rate_high"] == pytest.approx(0.8824, abs=1e-4)
    assert total["profit_factor"] == pytest.approx(54 / 33)
    assert total["expectancy"] == "4.2"
    assert found["equity"]["return"] == pytest.approx((1119 - 1000 - 100) / 1000)
    assert found["equity"]["max_drawdown"] == pytest.approx(1 - 990 / 1000)
    assert [point[0] for point in found["days"]["points"]] == ["2026-04-01", "2026-04-02", "2026-04-03"]
    assert found["days"]["points"][0][-1] == "1006"


def test_by_bot_and_by_model_the_parts_come_to_the_total_with_what_no_bot_did(client, days):
    for by, names in (("bot", 3), ("model", 3)):
        found = told(client, f"performance/?account={days.pk}&by={by}")
        assert len(found["parts"]) == names
        assert sum(D(part["net_after_cost"]) for part in found["parts"]) == D(found["total"]["net_after_cost"]) == 17
        rest = found["parts"][-1]
        assert (rest["bot"], rest["model"], rest["net"]) == (None, None, "5")
        assert found["days"] is None
    of_b = next(part for part in found["parts"] if part["model"] == "m/b")
    assert (of_b["net"], of_b["trades"]) == ("-12", 2)


def test_a_bot_a_model_and_a_period_narrow_it(client, days):
    one = days.bots.get(name="one")
    assert told(client, f"bots/{one.pk}/performance/")["total"]["net"] == "37"
    assert told(client, f"bots/{one.pk}/performance/?model=m/b")["total"]["net"] == "9"
    assert told(client, f"performance/?bot={one.pk}&until=2026-04-02")["total"]["net"] == "28"
    assert told(client, "performance/?model=m/b")["total"]["net"] == "-12"
    assert told(client, f"performance/?account={days.pk}&since=2026-04-03")["total"]["net"] == "5"
    assert told(client, f"bots/{one.pk}/performance/")["equity"] is None


def test_nothing_is_divided_by_nothing(client, days):
    total = told(client, "performance/?since=2030-01-01")["total"]
    assert [total[name] for name in ("hit_rate", "hit_rate_low", "profit_factor", "expectancy")] == [None] * 4
    assert told(client, f"performance/?account={days.pk}&since=2026-04-03")["total"]["profit_factor"] is None


def test_a_fall_within_a_day_is_found_in_its_hours(client):
    account = make_account("falls")
    client.force_login(account.owner)
    for hour, equity in enumerate((1000, 1100, 1050, 1200, 1020, 1190)):
        EquityPoint.objects.create(
            account=account,
            at=START + timedelta(hours=hour),
            wallet=equity,
            unrealised=0,
            equity=equity,
            transfers=1000,
        )
    performance_rebuild(account)
    found = told(client, f"accounts/{account.pk}/performance/")
    assert found["equity"]["max_drawdown"] == pytest.approx(1 - 1020 / 1200)


def test_a_year_of_days_costs_as_many_queries_as_three(client, days):
    path = f"performance/?account={days.pk}&by=day"
    told(client, path)
    with CaptureQueriesContext(connection) as few:
        told(client, path)
    PerformanceDay.objects.bulk_create(
        PerformanceDay(account=days, day=datetime(2025, 1, 1).date() + timedelta(days=n), fills=1)  # noqa: DTZ001
        for n in range(365)
    )
    with CaptureQueriesContext(connection) as many:
        told(client, path)
    assert len(few) == len(many) <= 10


def test_what_is_anothers_is_not_found_and_in_no_sum(client, days):
    bot = days.bots.first()
    client.force_login(User.objects.create_user("stranger@example.com"))
    for path in ("performance/", "equity/", "balance/"):
        told(client, f"accounts/{days.pk}/{path}", 404)
    told(client, f"bots/{bot.pk}/performance/", 404)
    told(client, f"equity/?account={days.pk}", 404)
    told(client, f"balance/{days.pk}/", 404)
    assert told(client, "balance/")["results"] == []
    for path in ("performance/", f"performance/?account={days.pk}", f"performance/?bot={bot.pk}&by=bot"):
        found = told(client, path)
        assert (found["total"]["trades"], found["as_of"], found["parts"] or None, found["equity"]) == (
            0,
            None,
            None,
            None,
        )


ODD = (
    "performance/?since=0000-01-01",
    "performance/?since=10000-01-01",
    "performance/?since=2026-04-02&until=2026-04-02",
    "performance/?by=hour",
    "performance/?acount=1",
    "performance/?account=0",
    f"performance/?bot={10**30}",
    "performance/?model=%00",
    "equity/",
    "equity/?account=x",
    "equity/?account={}&points=9",
    "equity/?account={}&points=2001",
    "equity/?account={}&since=0001-01-01T00:00:00%2B14:00",
    "equity/?account={}&since=2026-04-02&until=2026-04-01",
    "accounts/{}/equity/?account=1",
    "accounts/{}/performance/?account=1",
    "balance/?account=x",
    "balance/?mode=dream",
)


@pytest.mark.parametrize("path", ODD)
def test_odd_input_is_refused(client, days, path):
    found = told(client, path.format(days.pk), 400)
    assert found["code"] in ("invalid", "query")


@pytest.mark.parametrize(
    "path",
    [
        "performance/?since=0001-01-01&until=9999-12-31",
        "equity/?account={}&since=0002-01-01T00:00:00Z&until=9999-12-30T23:59:59Z",
        "equity/?account={}&since=9999-01-01T00:00:00Z",
    ],
)
def test_a_period_beyond_all_history_is_answered(client, days, path):
    told(client, path.format(days.pk))


def test_the_balance_is_what_was_stated_last_beside_what_is_open(client):
    account = make_account("holds")
    client.force_login(account.owner)
    empty = told(client, f"accounts/{account.pk}/balance/")
    assert (empty["equity"], empty["free"], empty["day_result"], empty["margin"]) == (None, None, None, "0")
    for hour, equity in ((1, 900), (2, 1000)):
        EquityPoint.objects.create(
            account=account, at=START.replace(hour=hour), wallet=950, unrealised=equity - 950, equity=equity
        )
    Position.objects.create(
        account=account,
        symbol="BTCUSDT",
        side="long",
        quantity="0.5",
        cost=300,
        entry_price=600,
        leverage=3,
        opened=START,
    )
    LossWatch.objects.create(
        account=account, at=START, zone="UTC", day_ends=START + timedelta(days=1), day_equity=1010, day_transfers=0,
        equity=1000, transfers=20, unit="0.9", peak="1.2",
    )  # fmt: skip
    found = told(client, f"accounts/{account.pk}/balance/")
    assert found == {
        "account": account.pk,
        "badge": "paper",
        "as_of": "2026-04-01T02:00:00Z",
        "wallet": "950",
        "unrealised": "50",
        "equity": "1000",
        "margin": "100",
        "free": "900",
        "exposure": "300",
        "day_result": "-30",
        "day_ends": "2026-04-02T00:00:00Z",
        "drawdown": 0.25,
    }
    assert told(client, "balance/")["results"] == [found] == [told(client, f"balance/{account.pk}/")]


def test_equity_is_told_point_by_point_while_there_are_few(client):
    history = History.begin(4)
    client.force_login(history.account.owner)
    history.live(10, events=6)
    stored = list(EquityPoint.objects.filter(account=history.account).order_by("at"))
    found = told(client, f"accounts/{history.account.pk}/equity/")
    assert (found["drawn_from"], found["thinned"], found["columns"]) == ("points", False, ["at", "equity"])
    assert [(datetime.fromisoformat(at), D(equity)) for at, equity in found["points"]] == [
        (point.at, point.equity) for point in stored
    ]
    middle = stored[len(stored) // 2].at.isoformat().replace("+00:00", "Z")
    later = told(client, f"equity/?account={history.account.pk}&since={middle}")
    earlier = told(client, f"equity/?account={history.account.pk}&until={middle}")
    assert earlier["points"] + later["points"] == found["points"]
