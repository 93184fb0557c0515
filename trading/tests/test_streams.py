"""The streams: who hears what. A snapshot, then every change once, and nothing that is another's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from accounts.models import User
from marketdata.models import Ticker
from tests.support.demo import person
from trading.consumers import Stream
from trading.models import EquityPoint, Position
from trading.tests.listening import Listener, cookie_of, listening, tell
from trading.tests.stream_kit import TRADING, House, alices_house, fresh_log, house, run
from vibex.lib.events import account_topic, market_topic, person_topic
from vibex.routing import websocket

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from fresh_log(monkeypatch)


@pytest.fixture
def alice() -> House:
    return alices_house()


@pytest.fixture
def of_alice(alice: House) -> str:
    return account_topic(alice.account.pk)


# -- who may listen ------------------------------------------------------------------------------------------------


def test_every_address_leads_to_a_stream_that_says_who_may_listen():
    found = [route.callback.consumer_class for route in websocket.routes]
    assert len(found) >= 5
    for each in found:
        assert issubclass(each, Stream)
        assert each.may is not Stream.may


def test_a_stream_without_a_rule_is_no_stream():
    class Open(Stream):
        kinds = frozenset()

    with pytest.raises(TypeError, match="who may listen"):
        Open.as_asgi()


@pytest.mark.parametrize("path", [TRADING, "/ws/positions/", "/ws/market-data/", "/ws/bots/1/stream/", "/ws/other/"])
def test_nobody_gets_in_without_being_known(path):
    async def scene():
        assert not await Listener(path).open()
        assert not await Listener(path, "sessionid=made-up").open()
        assert not await Listener(path, authorization="Bearer nonsense").open()
        assert not await Listener(f"{path}?ticket=nonsense").open()

    run(scene)


def test_another_site_cannot_open_a_stream_with_the_visitors_cookie(alice):
    cookie = cookie_of(alice.user)

    async def scene():
        assert not await Listener(TRADING, cookie, origin="https://evil.example").open()
        assert not await Listener(TRADING, cookie, origin="").open()

    run(scene)


def test_somebody_who_was_switched_off_has_no_stream(alice):
    cookie = cookie_of(alice.user)
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert not run(Listener(TRADING, cookie).open)


def test_what_is_anothers_is_as_if_it_were_not_there(alice):
    cookie = cookie_of(person("mallory@vibex.local"))

    async def scene():
        told = []
        for account_id in (alice.account.pk, 987_654):
            async with listening(TRADING, cookie) as listener:
                told.append((await listener.subscribe(accounts=[account_id]))["code"])
        for bot_id in (alice.bot.pk, 987_654, 10**30):
            async with listening(f"/ws/bots/{bot_id}/stream/", cookie) as listener:
                told.append((await listener.hear())["code"])
        return told

    assert run(scene) == ["not-found", "not-found", 4004, 4004, 4004]


def test_a_stranger_hears_nothing_of_alice(alice, of_alice):
    cookie = cookie_of(person("mallory@vibex.local"))

    async def scene():
        for path in (TRADING, "/ws/positions/"):
            async with listening(path, cookie) as listener:
                first = await listener.subscribe()
                assert not any(value for value in first.values() if isinstance(value, list))
                tell(of_alice, "account")
                tell(of_alice, "position", ids=[each.pk for each in alice.positions])
                tell(of_alice, "bot", id=alice.bot.pk)
                tell(person_topic(alice.user.pk), "alert", id=1)
                assert await listener.quiet()

    run(scene)


def test_an_event_with_a_wrong_topic_tells_nobody_of_anothers_row(alice):
    """The topic of a change is that of its row, whatever the event said."""
    bob = house("bob@vibex.local")
    cookie = cookie_of(bob.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            tell(account_topic(bob.account.pk), "bot", id=alice.bot.pk)
            assert await listener.quiet()

    run(scene)


# -- what is told --------------------------------------------------------------------------------------------------


def test_the_state_comes_first_then_every_change_with_its_number(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            first = await listener.subscribe()
            tell(of_alice, "account")
            tell(of_alice, "bot", id=alice.bot.pk)
            return first, await listener.hear(), await listener.hear()

    first, account, bot = run(scene)
    assert (first["type"], first["reset"]) == ("snapshot", False)
    assert [each["id"] for each in first["accounts"]] == [alice.account.pk]
    assert {each["id"] for each in first["positions"]} == set(
        Position.objects.filter(account=alice.account, closed=None).values_list("pk", flat=True)
    )
    assert first["sequence"] < account["sequence"] < bot["sequence"]
    assert (account["kind"], account["data"]["state"], account["account"]) == ("account", "active", alice.account.pk)
    assert (bot["kind"], bot["data"]["status"], bot["bot"]) == ("bot", alice.bot.status, alice.bot.pk)


def test_only_the_kinds_and_symbols_that_are_wanted_come(alice, of_alice):
    cookie, positions = cookie_of(alice.user), list(Position.objects.filter(account=alice.account))
    symbol = positions[0].symbol

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe(kinds=["position"], symbols=[symbol])
            tell(of_alice, "account")
            tell(of_alice, "position", ids=[each.pk for each in positions])
            heard = [await listener.hear() for each in positions if each.symbol == symbol]
            assert await listener.quiet()
            assert (await listener.subscribe(kinds=["nonsense"]))["code"] == "unknown-kind"
            return heard

    heard = run(scene)
    assert heard
    assert {(each["kind"], each["symbol"]) for each in heard} == {("position", symbol)}


@pytest.mark.ci
def test_a_stream_of_a_bot_tells_of_that_bot_alone(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(f"/ws/bots/{alice.bot.pk}/stream/", cookie) as listener:
            first = await listener.subscribe()
            tell(of_alice, "stage", id=1, bot=alice.bot.pk + 1, stage="ask")
            tell(of_alice, "stage", id=2, bot=alice.bot.pk, stage="ask")
            tell(of_alice, "account")
            heard = await listener.hear()
            assert await listener.quiet()
            return first, heard

    first, heard = run(scene)
    assert first["bot"]["id"] == alice.bot.pk
    assert [each["id"] for each in first["cycles"]] == sorted((each.pk for each in alice.cycles), reverse=True)
    assert (heard["kind"], heard["data"]["id"], heard["data"]["stage"]) == ("stage", 2, "ask")


@pytest.mark.ci
def test_the_profit_of_open_positions_moves_with_their_prices_once_a_second(alice):
    row = Position.objects.filter(account=alice.account, closed=None).first()
    prices = Ticker.objects.filter(venue=alice.account.market, symbol=row.symbol)
    cookie, topic = cookie_of(alice.user), market_topic(alice.account.market)

    async def scene():
        async with listening("/ws/positions/", cookie) as listener:
            first = await listener.subscribe()
            for _ in range(5):
                await asyncio.to_thread(lambda: None)
                tell(topic, "prices", symbols=[row.symbol])
            heard = await listener.hear()
            later = await listener.quiet(0.5)
            return first, heard, later

    assert prices.exists()
    first, heard, _ = run(scene)
    mark = prices.get().mark
    worth = (row.quantity * mark - row.cost) * (1 if row.side == "long" else -1)
    told = next(each for each in first["positions"] if each["id"] == row.pk)
    assert Decimal(told["mark"]) == mark
    assert (heard["kind"], heard["data"]["id"]) == ("pnl", row.pk)
    assert abs(Decimal(heard["data"]["unrealised"]) - worth) < Decimal("1e-7")


@pytest.mark.ci
def test_prices_come_of_the_symbols_that_are_wanted_and_the_newest_only(alice):
    market, cookie = alice.account.market, cookie_of(alice.user)
    symbols = list(Ticker.objects.filter(venue=market).values_list("symbol", flat=True))
    assert len(symbols) > 1

    async def scene():
        async with listening("/ws/market-data/", cookie) as listener:
            first = await listener.subscribe(symbols=symbols[:1])
            for _ in range(50):
                tell(market_topic(market), "prices", symbols=symbols)
            await asyncio.sleep(0.4)
            heard = [await listener.hear()]
            while not await listener.quiet(0.3):
                heard.append(await listener.hear())
            assert (await listener.subscribe(markets=["nowhere"]))["code"] == "not-found"
            return first, heard

    first, heard = run(scene)
    assert [each["symbol"] for each in first["prices"]] == symbols[:1]
    assert {each["symbol"] for each in heard} == set(symbols[:1])
    assert len(heard) <= 3
    sequences = [each["sequence"] for each in heard]
    assert sequences == sorted(set(sequences))


def test_equity_of_many_accounts_is_one_event_and_each_hears_of_its_own(alice):
    from vibex.lib.events import Hint, log_of_process

    cookie = cookie_of(alice.user)
    newest = EquityPoint.objects.filter(account=alice.account).latest("at")

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            many = tuple(account_topic(each) for each in (alice.account.pk, 10_001, 10_002))
            log_of_process().put([Hint(many, "equity")])
            heard = await listener.hear()
            assert await listener.quiet()
            return heard

    heard = run(scene)
    assert (heard["account"], heard["kind"]) == (alice.account.pk, "equity")
    assert Decimal(heard["data"]["equity"]) == newest.equity
    assert json.dumps(heard["data"]["equity"]).startswith('"')
