"""The dangerous buttons of a desk: they name what will happen, act once, and never stand in the way of a close."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.db import DatabaseError

from accounts.models import AuditEntry, Job
from decisions.models import DiaryEntry
from trading.models import Order, Position
from trading.services import (
    by_hand,
    close_all,
)  # both before any test puts something else in the place of one
from trading.tests.approval_kit import AskingHouse
from trading.tests.builders import make_account
from trading.tests.page_acts_kit import address, confirm, fields, house_with_a_page, position, stops, text
from vibex.lib.errors import NeedsOperator, Rejected, Retryable, VibexError

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def house(monkeypatch, client) -> AskingHouse:
    return house_with_a_page(monkeypatch, client)


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_close_names_what_it_closes_with_the_figures_of_now_and_does_nothing_yet(client, house):
    page = text(client.get(address(house, "close", position())))
    for said in ("BTCUSDT long 0.020", "worth 2,020.00 USDT at mark 101,000.0", "+19.90 USDT", "reduce-only"):
        assert said in page
    assert house.held() == D("0.02")
    assert "Close 1 position" in text(client.get(address(house, "close-all")))


def test_the_question_comes_as_a_page_or_alone_for_the_dialog(client, house):
    path = address(house, "close", position())
    assert "<html" in client.get(path).content.decode()
    part = client.get(path, headers=HTMX).content.decode()
    assert "<html" not in part
    assert 'hx-post="' in part


def test_what_is_another_persons_is_not_there(client, house):
    other = make_account("other")
    paths = [
        address(house, "close", position()),
        address(house, "halt"),
        address(house, "cancel", Order.objects.first()),
    ]
    client.force_login(other.owner)
    for path in [*paths, address(house, "close").replace("acts/close", f"acts/close/{position().pk}")]:
        assert client.get(path).status_code == 404, path
        assert client.post(path).status_code == 404, path
    own = f"/accounts/{other.pk}/acts/close/{position().pk}/"
    assert client.get(own).status_code == 404, "nor by the address of an account of one's own"
    assert client.get(f"/accounts/{other.pk}/acts/sing/").status_code == 404
    assert house.held() == D("0.02")


# -- closing -----------------------------------------------------------------------------------------------------------


def test_a_close_closes_and_says_how_it_ended(client, house):
    done = confirm(client, address(house, "close", position()))
    assert "BTCUSDT is closed." in text(done)
    assert house.held() == 0
    assert stops() == []
    assert AuditEntry.objects.get(action="position-close").actor == house.owner


def test_a_double_click_closes_once_and_leads_to_the_same_result(client, house):
    path = address(house, "close", position())
    given = fields(client.get(path))
    first, second = client.post(path, given), client.post(path, given)
    assert first["Location"] == second["Location"]
    assert Job.objects.filter(kind="close").count() == 1
    assert AuditEntry.objects.filter(action="position-close").count() == 1


def test_a_close_from_an_old_page_is_done_and_says_that_something_had_changed(client, house):
    path = address(house, "close", position())
    given = fields(client.get(path))
    by_hand.position_stop_move(position=position(), price=D(98_500), actor=house.owner)
    done = client.post(path, given, follow=True)
    assert "This is what was really done" in text(done)
    assert house.held() == 0
    assert "was closed already" in text(client.post(path, {}, follow=True)), "also without any of it, and twice"


def test_a_close_that_failed_says_why_and_the_same_form_tries_again(client, house, monkeypatch):
    path = address(house, "close", position())
    given = fields(client.get(path))
    with monkeypatch.context() as broken:
        broken.setattr(by_hand, "KEEPS_AT_IT", 0)
        broken.setattr("trading.services.by_hand.position_close", refused)
        failed = client.post(path, given, follow=True)
    assert "it keeps its stop" in text(failed)
    assert house.held() == D("0.02")
    assert "BTCUSDT is closed." in text(client.post(path, given, follow=True))


def refused(**_):
    raise Retryable("BTCUSDT is not closed yet: it keeps its stop.")


def test_everything_is_closed_at_once_and_nothing_to_close_is_no_fault(client, house):
    done = text(confirm(client, address(house, "close-all")))
    assert "1 position closed." in done
    assert "BTCUSDT long 0.02 at" in done
    assert house.held() == 0
    assert "Nothing is open" in text(client.get(address(house, "close-all")))
    assert "Nothing was open any more" in text(client.post(address(house, "close-all"), {}, follow=True))


def test_what_could_not_be_closed_is_told_with_what_could(house, monkeypatch):
    Position.objects.create(
        account=house.account, symbol="ETHUSDT", side="long", quantity=1, cost=1, entry_price=1, opened=house.clock.at
    )
    whole = close_all.position_close

    def one_hangs(*, position, **more):
        return refused() if position.symbol == "BTCUSDT" else whole(position=position, **more)

    monkeypatch.setattr(close_all, "position_close", one_hangs)
    tried = []
    monkeypatch.setattr(by_hand, "_close_try", lambda position, tell: tried.append(position.symbol) or "asleep.")
    done = close_all.positions_close(account=house.account, actor=house.owner, keep_at_it=0)
    assert done.closed == ()
    assert set(done.left) == {"BTCUSDT", "ETHUSDT"}
    assert tried == ["ETHUSDT"], "one that hangs holds up no other"


class Failing:
    """A close that fails for BTCUSDT, and works for all others."""

    def __init__(self, fault: Exception) -> None:
        self.fault, self.whole, self.tries = fault, by_hand._close_try, 0

    def __call__(self, position, tell):
        if position.symbol == "BTCUSDT":
            self.tries += 1
            raise self.fault
        return self.whole(position, tell)


def ended(position: Position, house: AskingHouse) -> str:
    Position.objects.filter(pk=position.pk).update(closed=house.clock.at, quantity=0)
    return ""


def two_open(house: AskingHouse) -> None:
    Position.objects.create(
        account=house.account, symbol="ETHUSDT", side="long", quantity=1, cost=1, entry_price=1, opened=house.clock.at,
        bot=house.bot,
    )  # fmt: skip


@pytest.mark.parametrize(
    "fault", [Rejected("The order is refused."), NeedsOperator("No key."), DatabaseError("x"), KeyError("x")]
)
def test_one_that_fails_in_whatever_way_keeps_no_other_open(house, monkeypatch, fault):
    two_open(house)
    failing = Failing(fault)
    monkeypatch.setattr(by_hand, "_close_try", failing)
    monkeypatch.setattr(failing, "whole", lambda position, tell: ended(position, house))
    done = close_all.positions_close(account=house.account, actor=house.owner, keep_at_it=0)
    assert [row.symbol for row in done.closed] == ["ETHUSDT"]
    assert list(done.left) == ["BTCUSDT"]
    assert "keeps its stop" in done.left["BTCUSDT"]
    if isinstance(fault, VibexError):
        assert str(fault) in done.left["BTCUSDT"]


def test_the_job_says_what_is_left_when_one_is_refused(client, house, monkeypatch):
    monkeypatch.setattr(by_hand, "_close_try", Failing(Rejected("The order is refused.")))
    monkeypatch.setattr(close_all, "KEEPS_AT_IT", 0)
    assert "Closed: nothing. BTCUSDT is not closed yet: The order is refused." in text(
        confirm(client, address(house, "close-all"))
    )


def test_of_many_failing_tries_the_last_one_stays_on_record(house, monkeypatch):
    monkeypatch.setattr(close_all, "APART", 0)
    failing = Failing(Retryable("asleep"))
    monkeypatch.setattr(by_hand, "_close_try", failing)
    monkeypatch.setattr(close_all, "Deadline", lambda _: Passes(3))
    assert close_all.positions_close(account=house.account, actor=house.owner).left
    assert failing.tries == 3
    assert AuditEntry.objects.filter(action="position-close").count() == 1
    assert DiaryEntry.objects.filter(text__startswith="Not closed yet").count() == 1


class Passes:
    """Time that is up after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def passed(self) -> bool:
        self.looks -= 1
        return self.looks <= 0


def test_positions_that_could_not_be_read_are_read_again(house, monkeypatch):
    monkeypatch.setattr(close_all, "APART", 0)
    whole, faults = Position.objects.filter, [DatabaseError("locked")]

    def read(*args, **kwargs):
        if faults:
            raise faults.pop()
        return whole(*args, **kwargs)

    monkeypatch.setattr(close_all.Position.objects, "filter", read)
    done = close_all.positions_close(account=house.account, actor=house.owner)
    assert [row.symbol for row in done.closed] == ["BTCUSDT"]
    assert done.left == {}


@pytest.mark.parametrize("broken", ["accounts.access.once.call_answered", "accounts.access.once.call_begin"])
def test_a_close_that_cannot_be_noted_is_done_and_shown_as_done(client, house, monkeypatch, broken):
    def locked(**_):
        raise DatabaseError("locked")

    path = address(house, "close", position())
    given = fields(client.get(path))
    monkeypatch.setattr(broken, locked)
    assert "BTCUSDT is closed." in text(client.post(path, given, follow=True))
    assert house.held() == 0


# -- moving ------------------------------------------------------------------------------------------------------------


def test_a_stop_is_moved_after_its_consequences_were_shown(client, house):
    path = address(house, "move-stop", position())
    assert "The stop of BTCUSDT is at 98,000.0. Where shall it be?" in text(client.get(path))
    page = client.get(f"{path}?price=98500")
    assert "from 98,000.0 to 98,500.0" in text(page)
    assert "ends with −30.10 USDT before fees, at the stop of now with −40.10" in text(page)
    done = client.post(path, fields(page), follow=True)
    assert "The stop of BTCUSDT is at 98,500." in text(done)
    assert stops() == [D(98_500)]


def test_a_stop_is_not_moved_from_a_page_that_shows_what_is_no_more(client, house):
    path = address(house, "move-stop", position())
    given = fields(client.get(f"{path}?price=98500"))
    by_hand.position_stop_move(position=position(), price=D(99_000), actor=house.owner)
    shown = client.post(path, given)
    assert shown.status_code == 409
    assert "nothing was done" in text(shown)
    assert "from 99,000.0 to 98,500.0" in text(shown), "the new state is there to confirm again"
    assert stops() == [D(99_000)]
    client.post(path, fields(shown))
    assert stops() == [D(98_500)]


def test_the_same_form_moves_a_stop_once_whatever_is_typed_into_it_the_second_time(client, house):
    path = address(house, "move-stop", position())
    given = fields(client.get(f"{path}?price=98500"))
    first = client.post(path, given)
    assert client.post(path, given)["Location"] == first["Location"]
    again = client.post(path, given | {"price": "97000"})
    assert (again.status_code, "sent before" in text(again)) == (409, True)
    assert stops() == [D(98_500)]
    assert Job.objects.filter(kind="stop").count() == 1


def test_while_the_first_press_is_not_answered_a_second_one_moves_nothing_and_closes_all_the_same(
    client, house, monkeypatch
):
    """As when the process died between the two: nobody knows what the first one did."""
    monkeypatch.setattr("accounts.access.once.FIRST_BEGINS", 0)
    monkeypatch.setattr("accounts.access.once.call_answered", lambda **_: None)
    move, close = address(house, "move-stop", position()), address(house, "close", position())
    given = fields(client.get(f"{move}?price=98500"))
    client.post(move, given)
    by_hand.position_stop_move(position=position(), price=D(99_000), actor=house.owner)
    again = client.post(move, given)
    assert (again.status_code, "sent before" in text(again), stops()) == (409, True, [D(99_000)])
    closes: list[str] = []
    monkeypatch.setattr("trading.api.positions.close_work", lambda job, **_: closes.append("again"))
    given = fields(client.get(close))
    client.post(close, given)
    client.post(close, given)
    assert closes == ["again", "again"], "nothing stands in the way of a close"


@pytest.mark.parametrize(
    "price", ["x", "-1", "NaN", "1e99", "0", "", "985e2", "98_500", "98 500", "٩٨٥٠٠", "+98500", "98500."]
)
def test_what_is_no_price_moves_nothing_and_is_said_so(client, house, price):
    path = address(house, "move-stop", position())
    page = client.post(path, fields(client.get(path)) | {"price": price})
    assert page.status_code == 409
    assert "is no price" in text(page) or "Say at which price" in text(page)
    assert stops() == [D(98_000)]


def test_a_stop_on_the_wrong_side_is_said_before_and_refused_by_the_service(client, house):
    path = address(house, "move-stop", position())
    assert "on the wrong side" in text(client.get(f"{path}?price=102000"))
    done = client.post(path, fields(client.get(f"{path}?price=102000")), follow=True)
    assert "has to be below the mark price" in text(done)
    assert stops() == [D(98_000)]


def test_what_is_said_of_a_price_is_said_of_the_price_that_will_be_sent(client, house):
    path = address(house, "move-stop", position())
    page = client.get(f"{path}?price=98500.06")
    assert "from 98,000.0 to 98,500.1" in text(page)
    assert "ends with −30.10 USDT" in text(page), "at 98,500.1: rounded to the tick, as moving it does"
    assert fields(page)["price"] == "98500.1"
    client.post(path, fields(page))
    assert stops() == [D("98500.1")]


def test_a_target_is_moved_too(client, house):
    path = address(house, "move-target", position())
    client.post(path, fields(client.get(f"{path}?price=105000")))
    assert position().target == D(105_000)


# -- orders, bots ------------------------------------------------------------------------------------------------------


def test_a_target_is_cancelled_and_a_stop_is_not_and_the_page_says_what_to_do(client, house):
    stop, target = Order.objects.get(role="stop"), Order.objects.get(role="target")
    page = client.get(address(house, "cancel", stop))
    assert "A stop protects its position" in text(page)
    assert "Cancel the order" not in text(page)
    assert "A stop protects its position" in text(client.post(address(house, "cancel", stop), {}, follow=True))
    assert stops() == [D(98_000)]
    done = confirm(client, address(house, "cancel", target))
    assert "The target of BTCUSDT is cancelled." in text(done)
    assert position().target is None


def test_a_bot_is_stopped_after_it_was_said_what_stays(client, house):
    path = address(house, "stop-bot", house.bot)
    assert "Its 1 open position keep" in text(client.get(path)).replace("keeps", "keep")
    assert "is stopped." in text(confirm(client, path))
    house.bot.refresh_from_db()
    assert house.bot.status == "stopped"
    assert "is stopped already" in text(client.get(path))
