"""One writer at a time for each symbol of an account."""

from datetime import UTC, datetime, timedelta

import pytest

from trading.models import Claim
from trading.services.claims import claim_release, claim_take
from trading.tests.builders import make_account

pytestmark = pytest.mark.django_db


def test_the_second_writer_is_kept_out_until_the_first_lets_go():
    key = {"account_id": make_account().pk, "symbol": "BTCUSDT"}
    assert claim_take(**key, holder="cycle")
    assert not claim_take(**key, holder="guard")
    claim_release(**key, holder="cycle")
    assert claim_take(**key, holder="guard")


def test_a_holder_may_take_its_own_claim_again():
    key = {"account_id": make_account().pk, "symbol": "BTCUSDT"}
    assert claim_take(**key, holder="cycle")
    assert claim_take(**key, holder="cycle")


def test_other_symbols_are_free():
    account = make_account()
    assert claim_take(account_id=account.pk, symbol="BTCUSDT", holder="cycle")
    assert claim_take(account_id=account.pk, symbol="ETHUSDT", holder="guard")


def test_the_claim_of_a_writer_that_died_is_taken_over_and_stays_with_the_new_one():
    key = {"account_id": make_account().pk, "symbol": "BTCUSDT"}
    claim_take(**key, holder="dead")
    Claim.objects.update(until=datetime.now(UTC) - timedelta(seconds=1))
    assert claim_take(**key, holder="guard")
    claim_release(**key, holder="dead")
    assert not claim_take(**key, holder="cycle")
