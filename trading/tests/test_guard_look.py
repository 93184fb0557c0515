"""What a look at the exchange does: protection put back, leftovers swept, others left alone, dangers told."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import Alert, Incident, RiskLimits
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from marketdata.models import Ticker
from trading.domain.orders import new_client_order_id
from trading.domain.venue import NewOrder, OrderReport, OrderSide, OrderType
from trading.exchange.base import Refused
from trading.models import GuardState, Halt, Order, PaperOrder, Position
from trading.services.guard import guard_run
from trading.services.halt import halt_latch
from trading.services.live import world_for
from trading.services.orders import send
from trading.services.settle import Settled, settle
from trading.services.world import World
from trading.tests.guard_kit import StillMarket, make_paper, open_position

pytestmark = pytest.mark.django_db(transaction=True)
BTC = "BTCUSDT"


class Desk:
    def __init__(self) -> None:
        self.market, self.account = StillMarket(), make_paper()
        open_position(self.account)
        self.exchange = world_for(self.account).exchange

    def look(self) -> Settled | None:
        self.market.step()
        return guard_run(account_id=self.account.pk)

    def working(self) -> list[tuple[str, str]]:
        """Role and trigger of our orders that work at the venue; of those of others their type."""
        ours = dict(Order.objects.filter(origin="ours").values_list("client_order_id", "role"))
        rows = PaperOrder.objects.filter(status="NEW").order_by("type", "trigger")
        return [(ours.get(row.client_order_id, f"other {row.type}"), f"{row.trigger.normalize():f}") for row in rows]

    def cancel(self, role: str) -> None:
        """Somebody cancels it by hand."""
        key = Order.objects.get(role=role, state="live").client_order_id
        self.exchange.cancel(symbol=BTC, client_order_id=key)

    def child(self, role: Role, trigger: int, *, ours: bool) -> None:
        """Put one more stop or target there, by the books or by hand."""
        world = world_for(self.account)
        kind = OrderType.STOP_MARKET if role is Role.STOP else OrderType.TAKE_PROFIT_MARKET
        size = Position.objects.get().quantity
        key = new_client_order_id("hand")
        order = NewOrder(key, BTC, OrderSide.SELL, kind, size, trigger=Decimal(trigger), reduce_only=True)
        if ours:
            send(world, order, role=role)
            world.journal.release(BTC)
        else:
            world.exchange.place(order)


PROTECTED = [("stop", "97001"), ("target", "106001.1")]


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    assert made.working() == PROTECTED
    return made


def test_what_stands_as_it_should_is_left_as_it_is(desk: Desk) -> None:
    keys = set(PaperOrder.objects.filter(status="NEW").values_list("client_order_id", flat=True))
    look = desk.look()
    assert look is not None
    assert (look.mended, look.left) == ([], [])
    assert set(PaperOrder.objects.filter(status="NEW").values_list("client_order_id", flat=True)) == keys
    state = GuardState.objects.get()
    assert (state.well, state.text) == (True, "")
    assert state.full_at is not None
    assert state.at is not None
    assert state.full_at < state.at, "what happened while it looked is later"


@pytest.mark.parametrize("role", ["stop", "target"])
def test_a_stop_or_target_that_is_missing_is_placed(desk: Desk, role: str) -> None:
    desk.cancel(role)
    look = desk.look()
    assert look is not None
    assert look.mended
    assert desk.working() == PROTECTED
    assert role in GuardState.objects.get().text


def test_a_stop_that_cannot_be_placed_because_the_price_has_passed_it_closes_the_position(desk: Desk) -> None:
    desk.cancel("stop")
    desk.market.step({BTC: 96_000})
    desk.look()
    assert Position.objects.get().closed is not None
    assert desk.working() == []
    assert world_for(desk.account).exchange.account().positions == ()


@pytest.mark.parametrize("role", [Role.STOP, Role.TARGET])
def test_a_second_stop_or_target_of_ours_is_cancelled(desk: Desk, role: Role) -> None:
    desk.child(role, 97_500 if role is Role.STOP else 105_000, ours=True)
    desk.look()
    assert desk.working() == PROTECTED


def test_what_is_left_of_ours_without_a_position_is_cancelled(desk: Desk) -> None:
    size = Position.objects.get().quantity
    order = NewOrder(new_client_order_id("hand"), BTC, OrderSide.SELL, OrderType.MARKET, size, reduce_only=True)
    desk.exchange.place(order)
    desk.look()
    assert desk.working() == []


def test_orders_of_others_are_kept_in_view_and_not_touched(desk: Desk) -> None:
    desk.child(Role.STOP, 90_000, ours=False)
    look = desk.look()
    assert look is not None
    assert ("other STOP_MARKET", "90000") in desk.working()
    assert [each for each in desk.working() if not each[0].startswith("other")] == PROTECTED
    assert Order.objects.get(origin="external").state == "live"


@pytest.mark.parametrize("side", list(Side))
def test_a_liquidation_that_comes_near_is_told_once_and_over_when_it_is_away(desk: Desk, side: Side) -> None:
    RiskLimits.objects.update(min_liquidation_distance=Decimal("0.12"))
    open_position(desk.account, "ETHUSDT", side=side, leverage=10)
    for _ in range(2):
        desk.look()
    incident = Incident.objects.get(kind="liquidation-near")
    assert incident.severity == "critical"
    assert "ETHUSDT" in incident.text
    assert Alert.objects.filter(type="liquidation-near", user=desk.account.owner).count() == 1
    assert not GuardState.objects.get().well
    RiskLimits.objects.update(min_liquidation_distance=Decimal("0.08"))
    desk.look()
    incident.refresh_from_db()
    assert incident.resolved is not None
    assert GuardState.objects.get().well


def test_a_liquidation_that_was_near_is_over_with_its_position(desk: Desk) -> None:
    RiskLimits.objects.update(min_liquidation_distance=Decimal("0.6"))
    desk.look()
    assert Incident.objects.filter(kind="liquidation-near", resolved=None).exists()
    desk.market.step({BTC: 96_000})
    desk.look()
    assert not Incident.objects.filter(kind="liquidation-near", resolved=None).exists()


def test_a_position_whose_price_has_stopped_is_told_until_it_moves(desk: Desk) -> None:
    desk.market.step()
    Ticker.objects.update(at=desk.market.at - timedelta(seconds=31))
    guard_run(account_id=desk.account.pk)
    incident = Incident.objects.get(kind="data-stale")
    assert incident.data["subject"] == BTC
    Incident.objects.update(opened=timezone.now() - timedelta(minutes=1))
    desk.look()
    incident.refresh_from_db()
    assert incident.resolved is not None


def test_a_look_that_saw_nothing_is_told_as_not_well_and_leaves_the_account_in_doubt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading.exchange.base import Unavailable
    from trading.exchange.paper import PaperExchange

    desk.look()
    before = GuardState.objects.get()

    def silent(_: PaperExchange) -> None:
        raise Unavailable("it does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(PaperExchange, "account", silent)
        assert desk.look() is None
    state = GuardState.objects.get()
    assert not state.well
    assert "could not be read" in state.text
    assert state.full_at == before.full_at, "nothing was read"
    assert desk.look() is not None
    assert GuardState.objects.get().well


def test_what_a_halt_cannot_close_has_its_stop_until_it_can(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading.exchange.paper import PaperExchange

    def refusing(self: PaperExchange, order: NewOrder) -> OrderReport:
        if order.type is OrderType.MARKET:
            raise Refused("no market orders now")
        return place(self, order)

    place = PaperExchange.place
    desk.cancel("stop")
    halt_latch(account=desk.account, reason="test")
    with monkeypatch.context() as patch:
        patch.setattr(PaperExchange, "place", refusing)
        patch.setattr("trading.services.flattening.ROUNDS", 1)
        desk.look()
    assert PROTECTED[0] in desk.working()
    state = GuardState.objects.get()
    assert (state.well, "halted and not flat yet" in state.text) == (False, True)
    desk.look()
    assert (desk.working(), Halt.objects.get().problem) == ([], "")
    assert Halt.objects.get().flat_at is not None
    assert not Incident.objects.filter(resolved=None).exists()


def test_a_look_that_a_halt_overtakes_leaves_the_account_to_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading.services import guard

    def overtaken(world: World) -> Settled:
        halt_latch(account=desk.account, reason="test")
        return settle(world)

    monkeypatch.setattr(guard, "settle", overtaken)
    desk.cancel("stop")
    assert desk.look() is None
    assert "halted" in GuardState.objects.get().text
