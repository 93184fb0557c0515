"""Accounts at other venues through ccxt keep the rules of the port: the suite that every exchange passes, over there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.oracles.binance_house import binance
from trading.tests.test_exchange_compliance import *  # noqa: F403 - every test of the suite is one of this module
from trading.tests.test_exchange_compliance import Venue

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]


@pytest.fixture
def venue(python_with_ccxt: Path) -> Iterator[Venue]:
    with ExitStack() as stack:
        house = stack.enter_context(binance(python_with_ccxt))
        made = Venue(house.exchange, house.clock, house.drive)
        made.trade_at("100")
        yield made
