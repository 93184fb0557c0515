"""Accounts at one address share their connections to it, and another set for what must not wait."""

from contextlib import ExitStack

import pytest

from trading.services.exchanges import exchanges_forget, live_exchange_for
from trading.tests.live_kit import live_exchange, live_house

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]


def connections(served):
    """Return how many connections the exchange has: those that listen to streams are none here."""
    return len(served.server._runner.server.connections)


@pytest.mark.parametrize("generations", [("v3", "v3", "v3"), ("v3", "v1", "v1")])
def test_accounts_share_connections_and_others_for_what_must_not_wait(monkeypatch, generations):
    with live_exchange() as served, ExitStack() as stack:
        houses = [
            stack.enter_context(live_house(monkeypatch, generation=one, name=f"account {number}", served=served))
            for number, one in enumerate(generations)
        ]
        before = connections(served)
        exchanges = [live_exchange_for(house.account) for house in houses]
        for exchange in exchanges:
            assert exchange.account().wallet == 10_000
        assert connections(served) == before + 1
        for exchange in exchanges:
            assert exchange.urgent().account().wallet == 10_000
        assert connections(served) == before + 2
        exchanges_forget()
        anew = live_exchange_for(houses[0].account)
        assert anew is not exchanges[0]
        assert anew.account().wallet == 10_000
