"""The test exchange's streams: shapes, subscriptions, candles that close once, limits and faults."""

import json

import aiohttp
import pytest

from trading.exchange_server.build import recorded_markets, simulated_markets
from trading.exchange_server.server import serve_in_thread
from trading.tests.exchange_kit import SECONDS, START, START_MS, heard, heard_all, listening, run, shape, told

pytestmark = pytest.mark.ci

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def serving(**options):
    markets = simulated_markets(SYMBOLS, start=START, history_days=1)
    markets.clock.stand()
    return serve_in_thread(markets, **options)


@pytest.fixture
def exchange():
    with serving() as served:
        yield served


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("Klines", "btcusdt@kline_1h"),
        ("BookTicker", "btcusdt@bookTicker"),
        ("MarkPrice", "btcusdt@markPrice@1s"),
        ("MiniTicker", "btcusdt@miniTicker"),
        ("Ticker", "btcusdt@ticker"),
        ("Trades", "btcusdt@aggTrade"),
        ("OrderBook", "btcusdt@depth5@100ms"),
    ],
)
def test_messages_have_the_shape_of_recorded_ones(exchange, shared_data, name, stream):
    recorded = json.loads((shared_data / "exchange" / "aster" / "ws_futures_aster_net.json").read_text())
    wanted = next(one["events"][0] for one in recorded if one["name"] == f"Futures/{name}")

    async def scenario():
        async with listening(exchange, f"/stream?streams={stream}") as socket:
            exchange.control.step(5)
            return (await heard_all(socket))[-1]

    message = run(scenario())
    assert message["stream"] == stream
    assert shape(message) == shape(wanted)
    assert message["data"]["e"] == wanted["data"]["e"]


def test_streams_of_all_symbols(exchange):
    async def scenario():
        path = "/stream?streams=!markPrice@arr@1s/!bookTicker/!miniTicker@arr/!ticker@arr/!forceOrder@arr/btcusdt@depth"
        async with listening(exchange, path) as socket:
            return await heard_all(socket)

    messages = run(scenario())
    by_stream = {}
    for one in messages:
        by_stream.setdefault(one["stream"], []).append(one["data"])
    assert [row["s"] for row in by_stream["!markPrice@arr@1s"][0]] == SYMBOLS
    assert [row["s"] for row in by_stream["!bookTicker"]] == SYMBOLS, "one message each"
    assert [row["e"] for row in by_stream["!miniTicker@arr"][0]] == ["24hrMiniTicker"] * 2
    assert [row["e"] for row in by_stream["!ticker@arr"][0]] == ["24hrTicker"] * 2
    assert "!forceOrder@arr" not in by_stream
    assert len(by_stream["btcusdt@depth"][0]["b"]) == 20


@pytest.mark.parametrize("path", ["/ws/btcusdt@bookTicker", "/fstream/ws/btcusdt@bookTicker"])
def test_a_plain_connection_gets_bare_messages(exchange, path):
    async def scenario():
        async with listening(exchange, path) as socket:
            return await heard(socket)

    assert run(scenario())["s"] == "BTCUSDT"


def test_subscriptions_come_and_go_and_are_listed(exchange):
    async def scenario():
        async with listening(exchange, "/ws") as socket:

            async def say(method, *params):
                await socket.send_json({"method": method, "params": list(params), "id": method})
                found = [await heard(socket)]
                while found[-1].get("id") != method:
                    found.append(await heard(socket))
                return found

            first = await say("SUBSCRIBE", "btcusdt@bookTicker", "nothing@nowhere", "BTCUSDT@bookTicker")
            assert first[-1] == {"result": None, "id": "SUBSCRIBE"}
            assert [one["s"] for one in first[:-1]] == ["BTCUSDT"], "names that mean nothing stay silent"
            listed = await say("LIST_SUBSCRIPTIONS")
            assert listed[-1]["result"] == ["btcusdt@bookTicker", "nothing@nowhere", "BTCUSDT@bookTicker"]
            assert (await say("GET_PROPERTY", "combined"))[-1]["result"] is False
            await say("SET_PROPERTY", "combined", True)
            exchange.control.step(1)
            assert (await heard_all(socket))[0]["stream"] == "btcusdt@bookTicker"
            await say("UNSUBSCRIBE", "btcusdt@bookTicker")
            exchange.control.step(1)
            assert await heard_all(socket) == []
            assert "error" in (await say("NONSENSE"))[-1]
            await socket.send_str("{")
            assert "error" in await heard(socket)

    run(scenario())


def test_every_candle_closes_once_and_equals_what_rest_tells(exchange):
    async def scenario():
        streams = "btcusdt@kline_1m/btcusdt@kline_5m/ethusdt@kline_1m"
        async with listening(exchange, f"/stream?streams={streams}") as socket:
            messages = []
            for seconds in (5, 40, 0, 25, 60, 0, 185, 1, 600, 59):
                exchange.control.step(seconds)
                messages += await heard_all(socket)
            return [one["data"] for one in messages]

    candles = [one["k"] for one in run(scenario())]
    now = told(exchange, "time")["serverTime"]
    for symbol, interval, length in (("BTCUSDT", "1m", 60_000), ("BTCUSDT", "5m", 300_000), ("ETHUSDT", "1m", 60_000)):
        ended = [one for one in candles if (one["s"], one["i"], one["x"]) == (symbol, interval, True)]
        start = START_MS - START_MS % length
        assert [one["t"] for one in ended] == list(range(start, now - length + 1, length))
        rows = told(exchange, "klines", symbol=symbol, interval=interval, startTime=start, limit=len(ended))
        assert [[one[key] for key in "tohlcv"] for one in ended] == [row[:6] for row in rows]
    forming = [one for one in candles if one["s"] == "ETHUSDT" and not one["x"]]
    assert len({(one["t"], one["c"], one["h"], one["l"], one["v"]) for one in forming}) == len(forming), "only changes"


def test_recorded_four_hour_candles_are_streamed_as_recorded(shared_data):
    from datetime import UTC, datetime

    start = datetime(2025, 9, 16, 19, 59, 50, tzinfo=UTC)
    markets = recorded_markets(shared_data / "candles" / "aster_2025", ["BTCUSDT"], start=start)
    markets.clock.stand()
    with serve_in_thread(markets) as exchange:

        async def scenario():
            async with listening(exchange, "/ws/btcusdt@kline_4h") as socket:
                running = await heard(socket)
                exchange.control.step(20)
                return [running, *await heard_all(socket)]

        running, closed, following = (one["k"] for one in run(scenario()))
    assert (running["x"], running["l"]) == (False, "115600.0"), "made of the hours while it runs"
    assert (closed["x"], closed["o"], closed["l"]) == (True, "115846.0", "116007.6"), "as the venue recorded it"
    assert (following["x"], following["t"]) == (False, closed["t"] + 4 * 3_600_000)


def test_a_connection_has_at_most_200_streams(exchange):
    many = [f"x{number}@bookTicker" for number in range(200)]

    async def scenario():
        async with listening(exchange, "/stream?streams=" + "/".join(many)) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
            answer = await heard(socket)
        async with listening(exchange, "/stream?streams=" + "/".join([*many, "btcusdt@bookTicker"])) as socket:
            return answer, await heard(socket)

    answer, ended = run(scenario())
    assert "200" in answer["error"]["msg"]
    assert ended is None


def test_a_client_that_talks_too_much_is_closed(exchange):
    async def scenario():
        async with listening(exchange, "/ws") as socket:
            for number in range(11):
                await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            answers = 0
            while await heard(socket) is not None:
                answers += 1
            return answers, socket.close_code

    answers, code = run(scenario())
    assert answers <= 10
    assert code == aiohttp.WSCloseCode.POLICY_VIOLATION


def test_a_connection_ends_with_its_life():
    with serving(life=0.1) as exchange:

        async def scenario():
            async with listening(exchange, "/ws") as socket:
                return await heard(socket), socket.close_code

        assert run(scenario()) == (None, aiohttp.WSCloseCode.GOING_AWAY)


def test_the_server_pings_and_notices_who_does_not_answer():
    with serving(ping=0.1) as exchange:

        async def scenario():
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{exchange.ws}/ws", autoping=False) as socket,
            ):
                first = await socket.receive(timeout=SECONDS)
                ended = await socket.receive(timeout=SECONDS)
                return first.type, ended.type

        first, ended = run(scenario())
    assert first is aiohttp.WSMsgType.PING
    assert ended in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


def test_all_connections_can_be_cut(exchange):
    async def scenario():
        async with listening(exchange, "/ws/btcusdt@bookTicker") as one, listening(exchange, "/ws") as two:
            await heard(one)
            await heard_all(two)
            assert exchange.control.connections() == 2
            assert exchange.control.cut() == {"cut": 2}
            return [await heard(one), await heard(two), one.close_code, two.close_code]

    assert run(scenario()) == [None, None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE, aiohttp.WSCloseCode.ABNORMAL_CLOSURE]
    assert exchange.control.connections() == 0


def closes_of(exchange, minutes=6):
    """Return the open times of the closed candles that a client hears while the clock is moved minute by minute."""

    async def scenario():
        async with listening(exchange, "/ws/btcusdt@kline_1m") as socket:
            for _ in range(minutes):
                exchange.control.step(60)
            return await heard_all(socket)

    ended = [one["k"] for one in run(scenario()) if one["k"]["x"]]
    first = START_MS - START_MS % 60_000
    return [(one["t"] - first) // 60_000 for one in ended], ended


def test_a_stream_can_fall_silent_without_a_word(exchange):
    exchange.control.stream_fault("silence", path="btcusdt@*")
    assert closes_of(exchange) == ([], [])


def test_messages_can_be_lost_and_doubled(exchange):
    exchange.control.stream_fault("duplicate")
    assert closes_of(exchange, 2)[0] == [0, 0, 1, 1]
    exchange.control.clear()
    exchange.control.stream_fault("lose", probability=0.5)
    numbers, _ = closes_of(exchange, 30)
    assert 0 < len(numbers) < 30


def test_messages_can_be_overtaken(exchange):
    exchange.control.stream_fault("reorder", count=3, after=5)
    numbers, _ = closes_of(exchange)
    assert sorted(numbers) == list(range(6)) != numbers


def test_messages_can_come_late(exchange):
    async def scenario():
        async with listening(exchange, "/ws/btcusdt@kline_1m") as socket:
            await heard(socket)
            exchange.control.stream_fault("delay", count=1, seconds=0.2)
            exchange.control.step(60)
            return [await heard(socket), await heard(socket)]

    first, second = (message["k"]["x"] for message in run(scenario()))
    assert (first, second) == (False, True), "the end of the old candle comes after the new one"


def test_a_candle_of_the_stream_can_be_broken_once(exchange):
    exchange.control.stream_fault("corrupt", path="*kline*", count=1)

    async def scenario():
        async with listening(exchange, "/ws/btcusdt@kline_1m") as socket:
            exchange.control.step(60)
            return await heard_all(socket)

    broken = [float(one["k"]["h"]) < float(one["k"]["l"]) for one in run(scenario())]
    assert broken == [True, False, False]


def test_news_come_by_themselves_while_the_clock_runs():
    markets = simulated_markets(["BTCUSDT"], start=START, speed=600, history_days=0)
    with serve_in_thread(markets, pulse=0.02) as exchange:

        async def scenario():
            async with listening(exchange, "/ws/btcusdt@kline_1m") as socket:
                ended = []
                while len(ended) < 5:
                    message = await heard(socket)
                    ended += [message["k"]["t"]] if message["k"]["x"] else []
                return ended

        ended = run(scenario())
        assert ended == list(range(ended[0], ended[0] + 5 * 60_000, 60_000))


def test_it_stops_with_clients_that_do_not_listen():
    async def scenario():
        session = aiohttp.ClientSession()
        with serving() as exchange:
            sockets = [await session.ws_connect(f"{exchange.ws}/ws/btcusdt@bookTicker") for _ in range(3)]
            assert all(not socket.closed for socket in sockets)
        assert exchange.control.connections() == 0
        await session.close()

    run(scenario())


def test_a_connection_can_be_ended_as_after_its_24_hours_and_a_new_one_is_welcome():
    with serving(pulse=3600) as exchange:

        async def scenario():
            async with listening(exchange, "/ws/btcusdt@bookTicker") as socket:
                await heard_all(socket)
                assert exchange.control.command("retire", {}) == {"retired": 1}
                message = await socket.receive(timeout=SECONDS)
                ended = message.type, socket.close_code
            async with listening(exchange, "/ws/btcusdt@bookTicker") as socket:
                return ended, len(await heard_all(socket))

        ended, heard = run(scenario())
    assert ended == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
    assert heard == 1
