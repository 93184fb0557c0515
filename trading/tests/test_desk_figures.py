"""What the pages of an account show is right, and costs a dozen queries at most, however much there is."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Incident
from accounts.services import account_create
from marketdata.models import Instrument
from tests.support.demo import bot_of, demo
from trading.domain.unit_value import drawdowns
from trading.models import AccountTerms, EquityPoint, Fill, IncomeEntry, Lock, Order, Position, Reconciliation
from trading.selectors.desk import desk_of
from trading.selectors.ledger_sums import ledger_page
from trading.selectors.standing import open_lines, rules_of, standing_of
from trading.tests.figures_kit import History

pytestmark = [pytest.mark.django_db, pytest.mark.ci]


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=4, equity_points=60)
    client.force_login(made.user)
    return made


def text_of(client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def held(symbol: str = "BTCUSDT") -> Position:
    return Position.objects.get(symbol=symbol, closed=None)


# -- positions ---------------------------------------------------------------------------------------------------------


def test_a_position_shows_what_is_lost_at_its_stop_and_how_far_liquidation_is(client, made):
    (line,) = [each for each in open_lines(made.account) if each.position.symbol == "BTCUSDT"]
    # 0.018 bought at 70,866.2, mark 71,284.6, stop 70,190, 3×, maintenance margin 0.5 %.
    assert line.at_stop == D("0.018") * (D("70190.0") - D("70866.2"))
    assert line.risk == D("0.018") * (D("71284.6") - D("70190.0"))
    expected = (D("70866.2") - D("70866.2") / 3) / (1 - D("0.005"))
    assert abs(line.liquidation - expected) < D("0.01")
    assert abs(line.to_liquidation - (D("71284.6") - expected) / D("71284.6")) < D("0.000001")
    page = text_of(client, f"/accounts/{made.account.pk}/")
    assert f"{line.risk:,.2f}" in page
    assert f"{line.liquidation:,.1f}" in page


def test_a_short_is_liquidated_above_and_loses_upwards(made):
    (line,) = [each for each in open_lines(made.account) if each.position.symbol == "SOLUSDT"]
    assert line.position.side == "short"
    assert line.liquidation > line.mark
    assert (line.to_liquidation > 0, line.at_stop < 0, line.risk > 0) == (True, True, True)


def test_the_brackets_of_the_account_itself_come_before_those_of_the_contract(made):
    usual = next(each for each in open_lines(made.account) if each.position.symbol == "BTCUSDT").liquidation
    step = {"floor": "0", "cap": "100000", "max_leverage": "20", "maintenance_rate": "0.05", "cum": "0"}
    AccountTerms.objects.create(
        account=made.account, symbol="BTCUSDT", maker_fee=0, taker_fee=0, max_leverage=20, brackets=[step]
    )
    assert next(each for each in open_lines(made.account) if each.position.symbol == "BTCUSDT").liquidation > usual


def test_without_a_price_or_a_stop_nothing_is_made_up(client, made):
    Position.objects.filter(pk=held().pk).update(symbol="NEWUSDT", stop=None, bracket="none", protected_at=None)
    line = next(each for each in open_lines(made.account) if each.position.symbol == "NEWUSDT")
    assert (line.risk, line.at_stop, line.to_liquidation) == (None, None, None)
    page = text_of(client, f"/accounts/{made.account.pk}/")
    assert "it has no stop" in page
    assert "no price" in page


def test_when_protection_was_verified_is_told_to_the_second_and_doubt_stands_out(client, made):
    at = made.now.replace(hour=12, minute=3, second=44)
    Position.objects.filter(pk=held().pk).update(protected_at=at)
    assert "✓ protection verified 12:03:44" in text_of(client, f"/accounts/{made.account.pk}/")
    Position.objects.filter(closed=None).update(bracket="adjusting")
    page = text_of(client, f"/accounts/{made.account.pk}/")
    assert "✓ protection verified" not in page
    assert "its stop is not confirmed, last verified 12:03:44" in page


# -- what is read together is what each read alone ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_desk_stands_where_the_account_stands(seed):
    history = History.begin(seed)
    if seed % 2:
        Account.objects.filter(pk=history.account.pk).update(mode="live", network="testnet")
    history.live(60, events=40)
    account = Account.objects.select_related("limits", "loss_watch").get(pk=history.account.pk)
    seen = desk_of(account, market_now=history.now, now=history.now)
    assert seen.standing == standing_of(account, now=history.now, rules=rules_of(account.market))
    assert [line.fill for line in seen.fills] == list(Fill.objects.filter(account=account).order_by("-at", "-id")[:10])
    assert [line.position for line in seen.closed] == list(
        Position.objects.filter(account=account, closed__isnull=False).order_by("-closed", "-id")[:10]
    )


def test_the_desk_of_an_account_without_anything_is_empty():
    account = account_create(owner=demo(cycles=1, equity_points=1).user, name="new", venue="aster")
    now = timezone.now()
    seen = desk_of(account, market_now=now, now=now)
    assert seen.standing == standing_of(account, now=now, rules={})
    assert (seen.bots, seen.last, seen.orders, seen.fills, seen.closed, seen.entries) == ((), None, (), (), (), ())


# -- the curve ---------------------------------------------------------------------------------------------------------


def test_a_drawdown_is_counted_from_the_peak_and_deposits_are_none():
    assert drawdowns([]) == []
    assert drawdowns([(100, 0), (110, 0), (99, 0), (110, 0)]) == [0, 0, -0.1, 0]
    assert drawdowns([(100, 0), (1100, 1000), (990, 1000)]) == [0, 0, -0.1], "what was paid in is no peak"
    assert drawdowns([(100, 0), (50, -50), (50, -50)]) == [0, 0, 0], "nor is what was taken out a fall"
    assert drawdowns([(100, 0), (0, 0), (80, 80), (40, 80)]) == [0, -1, 0, -0.5], "it begins anew"


def test_equity_and_drawdown_share_their_axis_of_time(client, made):
    figure = client.get(f"/accounts/{made.account.pk}/equity/").json()
    equity, below = figure["data"]
    assert equity["x"] == below["x"]
    assert below["yaxis"] == "y2"
    assert max(below["y"]) == 0
    assert min(below["y"]) < 0
    assert figure["layout"]["yaxis2"]["range"][0] <= min(below["y"])


# -- the books ---------------------------------------------------------------------------------------------------------


def sums(account: Account, now) -> dict[str, tuple]:
    return {each.name: each for each in ledger_page(account, now=now)["sums"]}


def test_the_ledger_is_summed_by_kind_for_today_a_week_and_all(made):
    now, account = made.now, made.account
    IncomeEntry.objects.filter(account=account).delete()
    Position.objects.filter(account=account).update(funding=0)
    for hours, kind, amount in ((1, "FUNDING_FEE", "-1.5"), (30, "FUNDING_FEE", "0.5"), (300, "FUNDING_FEE", 2), (300, "TRANSFER", 100)):  # fmt: skip
        at = now - timedelta(hours=hours) if hours > 1 else now - timedelta(milliseconds=1)
        IncomeEntry.objects.create(account=account, kind=kind, transaction_id=f"{kind}{hours}", amount=amount, at=at)
    IncomeEntry.objects.create(account=account, kind="COMMISSION", transaction_id="b", amount=-9, asset="BNB", at=now)
    found = sums(account, now)
    funding = found["Funding"]
    assert (funding.day, funding.week, funding.whole) == (D("-1.5"), D(-1), D(1))
    assert (found["Transfers"].whole, found["Transfers"].ours) == (100, None)
    assert found["Fees"].whole == 0, "what is paid in another asset is in no sum"
    assert (funding.ours, funding.difference, funding.agrees) == (0, D(-1), False)


def test_what_ties_out_says_so_and_what_does_not_names_the_difference(client, made):
    path = f"/accounts/{made.account.pk}/books/"
    for kind in ("Realised", "Fees", "Funding"):
        assert sums(made.account, made.now)[kind].agrees, kind
    Reconciliation.objects.all().delete()
    assert "never compared with the exchange" in text_of(client, path)
    Reconciliation.objects.create(account=made.account, trigger="hourly", agreed=False, left=["BTCUSDT: <b>gone</b>"])
    IncomeEntry.objects.create(
        account=made.account, kind="COMMISSION", transaction_id="x", amount=D("-0.25"), at=made.now - timedelta(hours=3)
    )
    Incident.objects.create(account=made.account, kind="money-mismatch", text="Our books say 1, the exchange 2.")
    page = text_of(client, path)
    assert "+0.25" in page
    assert "Our books say 1, the exchange 2." in page
    assert "<b>gone</b>" not in client.get(path).content.decode()


def test_an_incident_has_its_way_to_be_resolved_only_for_those_who_may(client, made):
    path = f"/accounts/{made.account.pk}/books/"
    Incident.objects.create(account=made.account, kind="gap", text="Open.")
    assert ">Resolve</button>" in client.get(path).content.decode()
    made.user.groups.clear()
    assert ">Resolve</button>" not in client.get(path).content.decode()


# -- lists -------------------------------------------------------------------------------------------------------------


def test_orders_are_narrowed_by_what_they_are(client, made):
    path = f"/accounts/{made.account.pk}/orders/"
    count = Order.objects.filter(account=made.account).count()
    assert f"{count} found" in text_of(client, path)
    stops = Order.objects.filter(account=made.account, role="stop", symbol="BTCUSDT").count()
    assert f"{stops} found" in text_of(client, f"{path}?role=stop&symbol=BTCUSDT")
    working = Order.objects.filter(account=made.account).exclude(state__in=["done", "absent", "denied"]).count()
    assert f"{working} found" in text_of(client, f"{path}?state=open")
    assert f"{count} found" in text_of(client, f"{path}?role=song&state='&origin=;"), "a word that there is not"
    assert "No order like this" in text_of(client, f"{path}?symbol=NOPE")


def test_trades_are_narrowed_and_come_by_fifty(client, made):
    path, order = f"/accounts/{made.account.pk}/trades/", Order.objects.filter(account=made.account).first()
    Fill.objects.bulk_create(
        Fill(account=made.account, order=order, symbol="BTCUSDT", exchange_trade_id=f"n{n}", side="BUY", quantity=1, price=1, fee=0, at=made.now)
        for n in range(60)
    )  # fmt: skip
    page = client.get(path).content.decode()
    assert page.count("<tr>") == 51
    assert 'href="?page=2"' in page
    bought = Fill.objects.filter(account=made.account, side="BUY", symbol="BTCUSDT").count()
    assert f"{bought} found" in text_of(client, f"{path}?side=BUY&symbol=BTCUSDT&page=2")
    assert "side=BUY" in client.get(f"{path}?side=BUY").content.decode().partition('rel="next"')[2][:200]


# -- what it costs -----------------------------------------------------------------------------------------------------

PATHS = ("", "live/", "books/", "orders/", "trades/", "acts/close-all/", "acts/halt/", "acts/resume/")


def count(client, path: str) -> int:
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200
    return len(found)


def much(made) -> None:
    """Add a hundred bots and much of everything else, on this account and on others of the same person."""
    account, now = made.account, made.now
    for number in range(100):
        bot_of(account, f"bot{number}")
        Position.objects.create(
            account=account, symbol=f"S{number}USDT", side="long", quantity=1, cost=1, entry_price=1, opened=now, stop=1
        )
        Lock.objects.create(account=account, symbol=f"S{number}USDT", reason="test")
    Instrument.objects.bulk_create(
        Instrument(
            venue="sim", symbol=f"S{n}USDT", base="S", tick_size="0.1", step_size="0.1", min_quantity=1, max_quantity=9, maker_fee=0, taker_fee=0
        )
        for n in range(100)
    )  # fmt: skip
    IncomeEntry.objects.bulk_create(
        IncomeEntry(account=account, kind=kind, transaction_id=f"m{n}", amount=-1, at=now)
        for n in range(300)
        for kind in ("COMMISSION", "TRANSFER")
    )
    Incident.objects.bulk_create(Incident(account=account, kind="gap", text=f"{n}") for n in range(50))
    Reconciliation.objects.bulk_create(Reconciliation(account=account, trigger="t", agreed=True) for _ in range(50))
    Order.objects.bulk_create(
        Order(account=account, client_order_id=f"m{n}", role="stop", symbol=f"S{n}USDT", side="SELL", type="STOP_MARKET", state="live")
        for n in range(100)
    )  # fmt: skip
    for number in range(20):
        account_create(owner=made.user, name=f"more{number}", venue="sim")


def test_every_page_of_an_account_costs_a_dozen_queries_however_much_there_is(client, made):
    assert connection.features.supports_json_field  # Django asks the database once
    client.get("/halt/state/")  # the first request of a session puts its sign-in on record
    few = {path: count(client, f"/accounts/{made.account.pk}/{path}") for path in PATHS}
    much(made)
    many = {path: count(client, f"/accounts/{made.account.pk}/{path}") for path in PATHS}
    assert many == few
    assert max(few.values()) <= 12, few


def test_a_live_account_costs_no_more(client, made):
    assert connection.features.supports_json_field
    paper = account_create(owner=made.user, name="before", venue="aster")
    Account.objects.filter(pk=made.account.pk).update(mode="live", venue="aster", promoted_from=paper)
    client.get("/halt/state/")
    counts = {path: count(client, f"/accounts/{made.account.pk}/{path}") for path in PATHS}
    assert max(counts.values()) <= 12, counts


def test_a_year_of_points_does_not_make_the_desk_read_them_all(client, made):
    EquityPoint.objects.bulk_create(
        EquityPoint(
            account=made.account,
            at=made.now - timedelta(minutes=100 + n, microseconds=7),
            wallet=1,
            unrealised=0,
            equity=1,
        )
        for n in range(3000)
    )
    account = Account.objects.select_related("limits", "loss_watch").get(pk=made.account.pk)
    assert desk_of(account, market_now=made.now, now=made.now).standing == standing_of(
        account, now=made.now, rules=rules_of("sim")
    )
