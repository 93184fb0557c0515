"""A testnet has a market of its own: its accounts and bots are found by its name and by no other."""

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Account, Bot
from accounts.selectors import market_name, on_market
from accounts.services import account_create
from tests.support.demo import bot_of, person
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def both():
    owner = person()
    main = account_create(owner=owner, name="main", venue="aster")
    test = account_create(owner=owner, name="test", venue="aster", network="testnet")
    return main, test


def test_the_market_of_an_account_is_named_by_venue_and_network(both):
    assert [account.market for account in both] == ["aster", "aster_testnet"]
    named = Account.objects.annotate(at=market_name()).order_by("pk")
    assert [account.at for account in named] == ["aster", "aster_testnet"]


@pytest.mark.parametrize(("market", "name"), [("aster", "main"), ("aster_testnet", "test")])
def test_what_is_on_a_market_is_found_by_its_name(both, market, name):
    for account in both:
        bot_of(account)
    assert [account.name for account in Account.objects.filter(on_market(market))] == [name]
    assert [bot.account.name for bot in Bot.objects.filter(on_market(market, of="account__"))] == [name]
    at = Bot.objects.annotate(at=market_name(of="account__")).get(account__name=name).at
    assert at == market


def test_a_testnet_is_no_venue(both):
    with pytest.raises(Rejected, match="Write aster here and choose the network testnet"):
        account_create(owner=both[0].owner, name="other", venue="aster_testnet")
    with pytest.raises(ValidationError):
        Account(owner=both[0].owner, name="other", venue="sim_testnet", starting_balance=1).full_clean()


def test_a_network_that_does_not_exist_is_refused(both):
    with pytest.raises(Rejected, match="network"):
        account_create(owner=both[0].owner, name="other", venue="aster", network="moonnet")


@pytest.mark.parametrize(
    ("mode", "network", "badge", "real"),
    [
        ("paper", "mainnet", "paper", False),
        ("paper", "testnet", "paper", False),
        ("live", "testnet", "testnet", False),
        ("live", "mainnet", "live", True),
    ],
)
def test_only_live_on_mainnet_is_real_money(mode, network, badge, real):
    account = Account(mode=mode, network=network, venue="aster")
    assert (account.badge, account.real) == (badge, real)
