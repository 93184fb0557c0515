"""What the gate does to orders, at the running test exchange: entries need an approval, closes and stops never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from accounts.models import Account, LiveApproval, RiskLimits, User
from accounts.services import account_create
from tests.support.demo import person
from trading.models import Order
from trading.services import exchanges
from trading.services.live_gate import live_revoke
from trading.tests.live_kit import BUY, CLOSE, LiveHouse, live_house

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return person("boss@vibex.local", is_superuser=True)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[LiveHouse]:
    """Return a bot whose account is one of the mainnet, as far as Vibex can tell. Old keys: they know no chain."""
    with live_house(monkeypatch, generation="v1") as made:
        account = made.account
        paper = account_create(owner=account.owner, name="paper", venue="aster")
        Account.objects.filter(pk=account.pk).update(network="mainnet", promoted_from=paper)
        settings.ASTERDEX_REST_URL, settings.ASTERDEX_STREAM_URL = made.served.http, made.served.ws
        settings.FEATURES = replace(settings.FEATURES, live_trading=True)
        exchanges.exchanges_forget()
        assert made.account.real
        yield made


def entries(house: LiveHouse) -> list[Order]:
    return list(Order.objects.filter(account=house.account, role="entry").order_by("created"))


def test_without_an_approval_nothing_is_opened(house: LiveHouse) -> None:
    run = house.cycle(BUY)
    assert run.status == "done"
    assert "Nobody has let" in run.text
    assert house.held() == 0
    assert house.truth.orders == ()
    assert entries(house) == []


def test_with_the_feature_off_nothing_is_opened(house: LiveHouse, boss: User, settings: Any) -> None:
    LiveApproval.objects.create(account=house.account, actor=boss)
    settings.FEATURES = replace(settings.FEATURES, live_trading=False)
    assert "FEATURE_LIVE_TRADING" in house.cycle(BUY).text
    assert house.truth.orders == ()


def test_what_was_opened_is_protected_and_closed_after_the_approval_is_gone(house: LiveHouse, boss: User) -> None:
    LiveApproval.objects.create(account=house.account, actor=boss)
    house.cycle(BUY)
    assert house.held() > 0
    assert house.stops() == [BUY.stop_loss]
    RiskLimits.objects.filter(account=house.account).update(cooldown_minutes=0)
    live_revoke(account=house.account, actor=boss, reason="enough")
    house.guard()
    assert house.stops() == [BUY.stop_loss]
    house.cycle(CLOSE)
    assert house.held() == 0
    assert house.stops() == []
    assert "Nobody has let" in house.cycle(BUY).text
    assert house.held() == 0
