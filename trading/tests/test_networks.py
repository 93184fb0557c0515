"""Accounts of a testnet live by the clock, the prices and the rules of the testnet's market."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Account
from accounts.services import account_create
from marketdata.models import Instrument
from marketdata.selectors import wanted_symbols
from tests.support.demo import PASSWORD
from tests.support.demo_market import market as demo_market
from trading.exchange.paper import open_paper_account
from trading.forms import BotForm
from trading.selectors.market import market_view
from trading.services.live import world_for
from trading.services.schedule import accounts_in_play, bot_start, tick_of
from trading.tests import schedule_house as house
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    """Return an account on the testnet of a recording that moves; the recording of the mainnet stands still."""
    house.market("recorded", running=False)
    house.market("recorded_testnet")
    return account_create(owner=house.person(), name="test", venue="recorded", network="testnet")


def test_its_bot_decides_when_the_market_of_the_testnet_moves(account: Account) -> None:
    main = house.bot(account_create(owner=house.person(), name="main", venue="recorded"), name="main")
    bot = house.bot(account)
    for each in (main, bot):
        bot_start(bot=each, actor=None)
    assert tick_of(main.pk) is None
    assert tick_of(bot.pk) is not None
    assert accounts_in_play() == [account.pk]
    house.market("recorded", running=True)
    house.market("recorded_testnet", running=False)
    assert accounts_in_play() == [main.account_id]


def test_its_world_and_its_page_are_of_that_market(account: Account) -> None:
    house.market("recorded_testnet", speed=7.0)
    assert world_for(account).clock.speed == 7.0
    assert open_paper_account(account).account_id == account.pk
    assert market_view(account).title == "Recorded candles at 7× speed"


def test_without_that_market_its_bot_does_not_start(account: Account) -> None:
    other = account_create(owner=account.owner, name="other", venue="sim", network="testnet")
    house.market("sim")
    with pytest.raises(Rejected, match="sim_testnet"):
        bot_start(bot=house.bot(other), actor=None)


def test_symbols_are_those_of_its_market(account: Account) -> None:
    house.bot(account)
    assert wanted_symbols("recorded_testnet", []) == ["BTCUSDT"]
    assert wanted_symbols("recorded", []) == []
    Instrument.objects.create(
        venue="recorded", symbol="BTCUSDT", base="BTC", tick_size=1, step_size=1, min_quantity=1, max_quantity=9,
        min_notional=1, max_leverage=5, maker_fee=0, taker_fee=0,
    )  # fmt: skip
    given = {
        "account": account.pk, "name": "second", "model": "rules/trend", "fallback_models": "[]",
        "symbols": '["BTCUSDT"]', "interval": "15m", "timeframes": '["15m"]', "prompt_template": "arena",
    }  # fmt: skip
    form = BotForm(given)
    assert "BTCUSDT is not traded at recorded_testnet" in str(form.errors)


@pytest.mark.parametrize(
    ("mode", "badge"), [(Account.Mode.PAPER, "paper"), (Account.Mode.LIVE, "testnet")], ids=["paper", "live"]
)
def test_its_badge_stands_on_every_page(client, account: Account, mode: str, badge: str) -> None:
    Account.objects.filter(pk=account.pk).update(mode=mode)
    demo_market()
    client.login(email=account.owner.email, password=PASSWORD)
    for name in ("desk", "books", "diary", "market"):
        page = client.get(reverse(name, args=[account.pk])).content.decode()
        assert f'<span class="badge badge-{badge}">{badge}</span>' in page, name
        assert 'class="badge badge-live"' not in page, name
