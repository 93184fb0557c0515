"""Serve the pages over demo data, for browsers of tests and for screenshots.

`python -m tests.support.serve --port 8123` with VIBEX_DATA_DIR set to an empty folder. A thread moves the prices, as
a feed would, so that nothing on the pages is old.
"""

from __future__ import annotations

import argparse
import os
import threading
from decimal import Decimal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")

import django

django.setup()  # what follows imports models

from daphne.server import Server  # noqa: E402
from django.db.models import F  # noqa: E402
from django.db.models.functions import Greatest, Least  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Account, Role, User  # noqa: E402
from accounts.services import account_create  # noqa: E402
from accounts.services.promotion import account_promote  # noqa: E402
from decisions.models import PromptTemplate  # noqa: E402
from decisions.services import SEEDS, prompt_template_add, prompt_template_install  # noqa: E402
from marketdata.models import Candle, Feed, Ticker  # noqa: E402
from tests.support.demo import account_of, bot_of, demo, person  # noqa: E402
from tests.support.demo_arena import arena  # noqa: E402
from tests.support.demo_judged import results  # noqa: E402
from tests.support.demo_market import candles  # noqa: E402
from tests.support.demo_way import ways  # noqa: E402
from tests.support.tables import tables_made  # noqa: E402
from trading.services.performance import performance_rebuild  # noqa: E402
from trading.services.periodic import system_heartbeat, system_schedules_install  # noqa: E402
from vibex.asgi import application  # noqa: E402


def seed() -> None:
    """Write one operator with a history, one with an empty account and one without any."""
    if User.objects.exists():
        return
    ways(demo(now=timezone.now(), cycles=60, is_staff=True, is_superuser=True))
    candles(timezone.now(), hours=75)
    _prompts(User.objects.get(email="operator@vibex.local"))
    beginner = person("beginner@vibex.local")
    bot_of(account_of(beginner))
    person("nobody@vibex.local")
    person("newcomer@vibex.local")
    person("viewer@vibex.local", role=Role.VIEWER)
    second = account_of(User.objects.get(email="operator@vibex.local"), "replay", venue="recorded")
    bot_of(second, "replayed", interval="1h", timeframes=["1h", "4h"])
    now = timezone.now()
    Feed.objects.create(
        venue="recorded", kind="recorded", source="candles/binance_um_2025_1h", speed=600, market_at=now, wall_at=now,
        running=False,
    )  # fmt: skip
    _at_a_venue(second.owner)
    system_schedules_install()
    performance_rebuild(Account.objects.get(pk=1))
    arena(now)
    Account.objects.filter(pk=second.pk).update(state="reducing", state_reason="The daily loss limit was reached.")
    _keeper()
    results()


def _keeper() -> None:
    """Write somebody with real money, whose bot stands still: the gate is shut."""
    keeper = person("keeper@vibex.local")
    main = account_promote(
        paper=account_create(owner=keeper, name="kept", venue="aster"), name="kept-live", actor=keeper
    )
    bot_of(main, "careful", symbols=["BTCUSDT"])


def _prompts(owner: User) -> None:
    """Write the template of the house and a version of the operator's own."""
    text = (SEEDS / "arena.txt").read_text(encoding="utf-8")
    PromptTemplate.objects.filter(name="arena").delete()
    prompt_template_install()
    calmer = text.replace(
        "size and place them well on entry.", "size and place them carefully on entry, and do nothing when in doubt."
    )
    prompt_template_add(name="arena", text=calmer, author=owner, note="Calmer: does nothing when in doubt.")


def _at_a_venue(owner: User) -> None:
    """Write a paper account on live prices, the live account that follows from it, and one on the testnet."""
    now = timezone.now()
    for venue, host in (("aster", "fapi.asterdex.com"), ("aster_testnet", "fapi.asterdex-testnet.com")):
        Feed.objects.create(venue=venue, kind="live", source=f"https://{host}", market_at=now, running=False)
    paper = account_create(owner=owner, name="aster-paper", venue="aster")
    bot_of(paper, "first", symbols=["BTCUSDT", "ETHUSDT"])
    account_promote(paper=paper, name="main", actor=owner)
    testnet = account_create(owner=owner, name="try-out", venue="aster", mode="live", network="testnet")
    bot_of(testnet, "first", symbols=["BTCUSDT", "SOLUSDT"])


def move_prices(stop: threading.Event) -> None:
    """Let the prices of the simulated market breathe once a second."""
    step = 0
    while not stop.wait(1.0):
        step += 1
        # No period that the page's own could meet, and no price twice: whoever looks again sees another one.
        factor = Decimal("1.0004") if step % 7 < 4 else Decimal("0.9995")
        Feed.objects.filter(venue="sim").update(heartbeat=timezone.now())
        system_heartbeat()
        Ticker.objects.filter(venue="sim").update(mark=F("mark") * factor, at=timezone.now())
        move_candles()


def move_candles() -> None:
    """Let the candle of the running minute end at the mark, and close the ones before it."""
    minute = timezone.now().replace(second=0, microsecond=0)
    Candle.objects.filter(venue="sim", open_time__lt=minute, closed=False).update(closed=True)
    for row in Ticker.objects.filter(venue="sim"):
        price = float(row.mark)
        key = {"venue": "sim", "symbol": row.symbol, "interval": "1m", "open_time": minute}
        fresh = dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": 1.0, "closed": False}
        forming = Candle.objects.filter(**key)
        if not forming.update(close=price, high=Greatest("high", price), low=Least("low", price)):
            Candle.objects.create(**key, **fresh)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    tables_made()
    seed()
    stop = threading.Event()
    threading.Thread(target=move_prices, args=[stop], daemon=True).start()
    Server(application, endpoints=[f"tcp:port={port}:interface=127.0.0.1"]).run()
    stop.set()


if __name__ == "__main__":
    main()
