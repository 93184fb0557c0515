"""What a person does to a position or an order over the API: done as cycle and guard do it, told in audit and diary."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from accounts.models import Account, AuditEntry, Job
from decisions.models import DiaryEntry
from trading.models import Claim, Order, PaperOrder, Position
from trading.services import by_hand
from trading.services.guard import guard_run
from trading.services.halt import account_halt
from trading.tests.approval_kit import BUY, AskingHouse, asking_house
from vibex.lib.errors import Retryable

JSON = "application/json"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]


@pytest.fixture
def house(monkeypatch, client) -> AskingHouse:
    """A long of 0.02 at 100,005 with its stop at 98,000 and its target at 104,000."""
    made = asking_house(monkeypatch, approval=False)
    made.run(BUY)
    client.force_login(made.owner)
    return made


def position() -> Position:
    return Position.objects.latest("pk")


def act(client, name: str, row: Position | Order | None = None, **body):
    row = row or position()
    kind = "orders" if isinstance(row, Order) else "positions"
    return client.post(f"/api/v1/{kind}/{row.pk}/{name}/", body, content_type=JSON)


def working(kind: str) -> list[D]:
    """Triggers of the orders of a type that stand at the venue."""
    return list(PaperOrder.objects.filter(type=kind, status="NEW").values_list("trigger", flat=True))


def stops() -> list[D]:
    return working("STOP_MARKET")


def test_a_close_ends_the_position_and_leaves_nothing_behind(client, house):
    told = act(client, "close")
    assert told.status_code == 200, told.content
    result = told.json()["result"]
    assert (result["already"], result["position"]["open"], result["position"]["quantity"]) == (False, False, "0")
    assert result["position"]["exit_reason"] == "flatten"
    assert (stops(), working("TAKE_PROFIT_MARKET")) == ([], [])
    assert not Claim.objects.exists()
    entry = AuditEntry.objects.get(action="position-close")
    assert (entry.actor, entry.before["quantity"], entry.after["quantity"]) == (house.owner, "0.02", "0")
    line = DiaryEntry.objects.filter(bot=house.bot).latest("pk")
    assert (line.kind, line.symbol) == ("trade", "BTCUSDT")
    assert str(house.owner) in line.text


def test_closing_what_is_closed_is_no_fault_and_closes_nothing_that_was_opened_since(client, house):
    first = position()
    act(client, "close")
    house.later(7200)  # after a close nothing is opened for a while
    run = house.run(BUY, at=house.clock.at)
    assert house.held() == D("0.02"), run.text
    told = act(client, "close", first)
    assert (told.status_code, told.json()["result"]["already"]) == (200, True)
    assert house.held() == D("0.02")


@pytest.mark.parametrize("hold", ["claim", "reducing", "stopped"])
def test_nothing_refuses_or_delays_a_close(client, house, hold):
    match hold:
        case "claim":
            Claim.objects.create(
                account=house.account, symbol="BTCUSDT", holder="x", until=house.clock.at.replace(year=2099)
            )
        case "reducing":
            Account.objects.update(state="reducing", state_reason="test")
        case "stopped":
            house.bot.status = "stopped"
            house.bot.save()
    assert act(client, "close").status_code == 200
    assert house.held() == 0


def test_a_position_that_a_halt_kept_can_be_closed(client, house):
    account_halt(account=house.account, reason="test", keep_positions=True)
    assert act(client, "close").status_code == 200
    assert house.held() == 0


def test_a_halt_in_the_middle_of_a_close_does_not_undo_it(client, house, monkeypatch):
    """The intent of the first try is void; the next is made under the new epoch."""
    whole = by_hand.flatten

    def halted_meanwhile(world, symbol, **more):
        monkeypatch.setattr(by_hand, "flatten", whole)
        account_halt(account=house.account, reason="test", keep_positions=True)
        return whole(world, symbol, **more)

    monkeypatch.setattr(by_hand, "flatten", halted_meanwhile)
    monkeypatch.setattr(by_hand, "APART", 0)
    assert act(client, "close").status_code == 200
    assert house.held() == 0


def test_a_close_that_fails_says_so_keeps_the_stop_and_is_on_record(client, house, monkeypatch):
    monkeypatch.setattr(by_hand, "flatten", lambda *_, **__: False)
    with pytest.raises(Retryable):
        by_hand.position_close(position=position(), actor=house.owner, keep_at_it=0)
    assert stops() == [D(98_000)]
    assert AuditEntry.objects.get(action="position-close").after["open"]
    assert "Not closed yet" in DiaryEntry.objects.latest("pk").text


def test_the_stop_is_moved_and_there_is_one_afterwards(client, house):
    told = act(client, "stop", price="98500")
    assert told.status_code == 200, told.content
    assert (told.json()["result"]["moved"], told.json()["result"]["position"]["stop"]) == (True, "98500")
    assert stops() == [D(98_500)]
    entry = AuditEntry.objects.get(action="position-stop")
    assert (entry.before["stop"], entry.after["stop"]) == ("98000", "98500")
    guard_run(account_id=house.account.pk)
    assert stops() == [D(98_500)], "the guard leaves it where it is"


@pytest.mark.parametrize(
    ("price", "code"), [("100500", "stop"), ("100000", "stop"), ("49000", "liquidation"), ("0.01", "liquidation")]
)
def test_a_stop_never_moves_past_the_mark_or_the_liquidation_price(client, house, price, code):
    told = act(client, "stop", price=price)
    assert (told.status_code, told.json()["code"]) == (409, code)
    assert stops() == [D(98_000)]


def test_the_target_is_moved_and_never_to_the_side_where_it_loses(client, house):
    assert act(client, "target", price="105000").json()["result"]["position"]["target"] == "105000"
    assert working("TAKE_PROFIT_MARKET") == [D(105_000)]
    assert act(client, "target", price="99000").json()["code"] == "target"
    assert working("TAKE_PROFIT_MARKET") == [D(105_000)]


@pytest.mark.parametrize("name", ["stop", "target"])
def test_nothing_is_moved_of_what_is_closed(client, house, name):
    act(client, "close")
    assert act(client, name, price="99000").json()["code"] == "closed"


@pytest.mark.parametrize(
    "body", [{}, {"price": "x"}, {"price": "0"}, {"price": "-1"}, {"price": "NaN"}, {"price": "1e30"}, {"Price": "1"}]
)
def test_a_price_that_is_none_moves_nothing(client, house, body):
    assert act(client, "stop", **body).status_code == 400
    assert stops() == [D(98_000)]
    assert not Job.objects.exists()


def test_who_is_at_work_on_the_symbol_is_waited_for_and_then_named(client, house, monkeypatch):
    monkeypatch.setattr(by_hand, "PATIENCE", 0)
    Claim.objects.create(account=house.account, symbol="BTCUSDT", holder="x", until=house.clock.at.replace(year=2099))
    told = act(client, "stop", price="98500")
    assert (told.status_code, told.json()["code"]) == (503, "unavailable")
    assert told["Retry-After"]
    assert stops() == [D(98_000)]


def test_a_stop_meant_for_a_position_that_ended_while_it_waited_goes_to_no_other(client, house, monkeypatch):
    tries = []

    def held_up(world, symbol, price):
        tries.append(price)
        by_hand.position_close(position=position(), actor=house.owner)
        raise by_hand.AtWork("another writer")

    monkeypatch.setattr(by_hand, "move_stop", held_up)
    monkeypatch.setattr(by_hand, "APART", 0)
    answer = act(client, "stop", price="98500")
    assert (answer.status_code, answer.json()["code"], len(tries)) == (409, "closed", 1)


def test_a_target_that_was_cancelled_does_not_come_back(client, house):
    target = Order.objects.get(role="target")
    told = act(client, "cancel", target)
    assert told.status_code == 200, told.content
    assert (told.json()["result"]["cancelled"], told.json()["result"]["already"]) == (True, False)
    assert position().target is None
    guard_run(account_id=house.account.pk)
    assert (working("TAKE_PROFIT_MARKET"), stops()) == ([], [D(98_000)])
    assert act(client, "cancel", target).json()["result"]["already"]
    assert AuditEntry.objects.filter(action="order-cancel").count() == 1
    assert act(client, "target", price="105000").status_code == 200, "and it can have another one"
    assert working("TAKE_PROFIT_MARKET") == [D(105_000)]


def test_what_protects_is_not_cancelled_and_the_answer_says_what_to_do(client, house):
    told = act(client, "cancel", Order.objects.get(role="stop"))
    assert (told.status_code, told.json()["code"]) == (409, "protects")
    assert "close the position" in told.json()["detail"]
    assert stops() == [D(98_000)]


def test_an_order_of_which_nobody_knows_is_asked_for_first(client, house):
    target = Order.objects.get(role="target")
    Order.objects.filter(pk=target.pk).update(state="unknown")
    assert act(client, "cancel", target).status_code == 200
    Order.objects.filter(pk=target.pk).update(state="planned")
    told = act(client, "cancel", target)
    assert (told.status_code, told.json()["code"]) == (409, "on-its-way")


def test_a_viewer_may_end_what_runs_and_nothing_else(client, house):
    house.owner.groups.clear()
    assert act(client, "stop", price="98500").status_code == 403
    assert act(client, "target", price="105000").status_code == 403
    assert act(client, "cancel", Order.objects.get(role="target")).status_code == 200
    assert act(client, "close").status_code == 200
    assert house.held() == 0


def test_the_api_lets_a_bot_decide_at_once_and_tells_all_of_it(client, monkeypatch):
    house = asking_house(monkeypatch, approval=False)
    client.force_login(house.owner)
    told = client.post(f"/api/v1/bots/{house.bot.pk}/cycle/", content_type=JSON)
    assert told.status_code == 200, told.content
    result = told.json()["result"]
    assert (result["status"], result["bot"], [one["verdict"] for one in result["rulings"]]) == (
        "done",
        "paper",
        ["accepted"],
    )
    assert house.held() == D("0.02")


def test_the_api_compares_books_and_exchange(client, house):
    address = f"/api/v1/accounts/{house.account.pk}/reconcile/"
    PaperOrder.objects.filter(type="TAKE_PROFIT_MARKET").update(status="CANCELED")
    dry = client.post(address, {"dry_run": True}, content_type=JSON).json()["result"]
    assert (dry["agreed"], dry["mended"], bool(dry["differences"])) == (False, [], True)
    done = client.post(address, content_type=JSON).json()["result"]
    assert (done["agreed"], done["left"]) == (True, [])
    assert done["mended"]


def test_the_api_checks_an_account_on_paper_without_asking_anybody(client, house):
    told = client.post(f"/api/v1/accounts/{house.account.pk}/check/", content_type=JSON).json()["result"]
    assert (told["ok"], [one["mark"] for one in told["findings"]]) == (True, ["ok"])
