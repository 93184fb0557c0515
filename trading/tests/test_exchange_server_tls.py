"""The test exchange by TLS, for clients that refuse anything else: trusted by its own file, which is gone afterwards."""

import asyncio
import ssl

import aiohttp
import httpx2
import pytest

from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from trading.tests.exchange_kit import SECONDS, START


def test_rest_and_streams_by_tls_are_trusted_by_their_file_and_it_goes_with_the_exchange():
    with serve_in_thread(simulated_markets(["BTCUSDT"], start=START, history_days=0), tls=True) as served:
        file = served.certificate
        assert (served.http[:8], served.ws[:6]) == ("https://", "wss://")
        assert [one.name for one in file.parent.iterdir()] == ["certificate.pem"], "the key is in no file"
        trusting = ssl.create_default_context(cafile=str(file))
        assert httpx2.get(f"{served.http}/fapi/v3/ping", verify=trusting, timeout=SECONDS).json() == {}
        with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate"):
            httpx2.get(f"{served.http}/fapi/v3/ping", timeout=SECONDS)

        async def heard():
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{served.ws}/ws/btcusdt@bookTicker", ssl=trusting) as socket,
            ):
                return await socket.receive_json(timeout=SECONDS)

        assert asyncio.run(heard())["s"] == "BTCUSDT"
    assert not file.parent.exists()


def test_without_it_there_is_no_certificate():
    with serve_in_thread(simulated_markets(["BTCUSDT"], start=START, history_days=0)) as served:
        assert served.certificate is None
        assert served.http.startswith("http://")
