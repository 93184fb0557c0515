"""A house with an open position, its desk, and forms as a browser sends them."""

from __future__ import annotations

import re
from decimal import Decimal as D

from django.core.cache import cache

from accounts.models import Bot
from marketdata.models import Instrument, Ticker
from trading.models import Order, PaperOrder, Position
from trading.tests.approval_kit import BUY, AskingHouse, asking_house

HTMX = {"HX-Request": "true"}


def house_with_a_page(monkeypatch, client) -> AskingHouse:
    """A long of 0.02 at 100,005 with its stop at 98,000 and its target at 104,000."""
    cache.clear()
    made = asking_house(monkeypatch, approval=False)
    made.run(BUY)
    Ticker.objects.create(
        venue="sim", symbol="BTCUSDT", bid=100_999, ask=101_001, last=101_000, mark=101_000, at=made.clock.at
    )
    Instrument.objects.create(
        venue="sim", symbol="BTCUSDT", base="BTC", tick_size="0.1", step_size="0.001", min_quantity="0.001", max_quantity=100,
        maker_fee="0.0002", taker_fee="0.0005",
    )  # fmt: skip
    client.force_login(made.owner)
    return made


def position() -> Position:
    return Position.objects.latest("pk")


def address(house: AskingHouse, act: str, row: Position | Order | Bot | None = None) -> str:
    return f"/accounts/{house.account.pk}/acts/{act}/" + (f"{row.pk}/" if row else "")


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def fields(answer) -> dict[str, str]:
    """What the form that was shown sends by itself."""
    return dict(re.findall(r'name="(token|version|price)"\s+value="([^"]*)"', answer.content.decode()))


def confirm(client, path: str, **typed: str):
    """Look at what will happen, and press."""
    return client.post(path, fields(client.get(path)) | typed, follow=True)


def stops() -> list[D]:
    return list(PaperOrder.objects.filter(type="STOP_MARKET", status="NEW").values_list("trigger", flat=True))
