"""A small client of the API: positions by pages, a halt followed to its end, and a stream that is resumed.

VIBEX_URL=http://127.0.0.1:3000 VIBEX_KEY=vbx_… python client.py [halt]
"""

# ruff: noqa: T201 - it is called from a command line

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

type Json = dict[str, Any]


class Problem(Exception):
    """What the server says is wrong (RFC 9457): `code` is for programs, `detail` for people."""

    def __init__(self, status: int, told: Json) -> None:
        super().__init__(f"{status} {told.get('code')}: {told.get('detail')} {told.get('errors', '')}".strip())
        self.status, self.code = status, str(told.get("code", ""))


@dataclass(frozen=True, slots=True)
class Position:
    """An open position; amounts come as text and are exact."""

    id: int
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal


class Vibex:
    """One installation, as the person whose key it is sees it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session, self._url = session, url.rstrip("/")
        self._headers = {"Authorization": f"Api-Key {key}"}

    async def call(self, method: str, path: str, *, body: Json | None = None, query: Json | None = None) -> Json:
        """Call an address and return its answer. Waits where it is told to; raises Problem."""
        headers = dict(self._headers)
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())  # sent again after a lost answer, it acts once
        url = path if path.startswith("http") else f"{self._url}{path}"
        for tries_left in (2, 1, 0):
            async with self._session.request(method, url, json=body, params=query, headers=headers) as answer:
                told: Json = await answer.json(content_type=None) if answer.status != 204 else {}
                if answer.status < 400:
                    return told
                if answer.status not in (429, 503) or not tries_left:
                    raise Problem(answer.status, told)
                await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
        raise AssertionError("not reached")

    async def positions(self, **filters: str) -> AsyncIterator[Position]:
        """Yield positions, page by page."""
        page = await self.call("GET", "/api/v1/positions/", query={"limit": "50", **filters})
        while True:
            for row in page["results"]:
                amounts = Decimal(row["quantity"]), Decimal(row["entry_price"])
                yield Position(row["id"], row["symbol"], row["side"], *amounts)
            if not page["next"]:
                return
            page = await self.call("GET", page["next"])

    async def halt(self, account: int, reason: str) -> Json:
        """Halt an account and return how it stands at the end: `flat` when the exchange proves it."""
        job = await self.call("POST", f"/api/v1/accounts/{account}/halt/", body={"reason": reason})
        while job["status"] == "running":
            await asyncio.sleep(1)
            job = await self.call("GET", f"/api/v1/jobs/{job['id']}/")
        if job["status"] != "done":
            raise Problem((job["problem"] or {}).get("status", 503), job["problem"] or {"detail": "The job was lost."})
        result: Json = job["result"]
        return result

    async def events(self, accounts: list[int], kinds: list[str]) -> AsyncIterator[Json]:
        """Yield the state of now and then every change; after a break it goes on where it was."""
        since: int | None = None
        while True:
            async with self._session.ws_connect(f"{self._url}/ws/trading-events/", headers=self._headers) as stream:
                asked: Json = {"type": "subscribe", "accounts": accounts, "kinds": kinds}
                await stream.send_json(asked if since is None else {**asked, "since": since})
                async for message in stream:
                    told: Json = message.json()
                    if told["type"] == "ping":
                        await stream.send_json({"type": "pong"})
                        continue
                    for change in told["changes"] if told["type"] == "changes" else [told]:
                        since = change.get("sequence", since)
                        yield change
                if stream.close_code in (4004, 4010):  # not ours, or not any more
                    return
            await asyncio.sleep(1)


async def main(act: str) -> None:
    async with aiohttp.ClientSession() as session:
        vibex = Vibex(session, os.environ["VIBEX_URL"], os.environ["VIBEX_KEY"])
        account = (await vibex.call("GET", "/api/v1/accounts/"))["results"][-1]["id"]
        async for position in vibex.positions(open="true"):
            print(position.symbol, position.side, position.quantity, "at", position.entry_price)
        async for told in vibex.events([account], ["account", "order", "position"]):
            print(told.get("kind") or told["type"], told.get("sequence"))
            if act != "halt":
                return
            if told.get("type") == "snapshot":
                print("flat:", (await vibex.halt(account, "from the example"))["flat"])
            elif told.get("kind") == "account":
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
