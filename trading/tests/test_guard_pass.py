"""A pass of the guard: one screening for all accounts, a look of its own for each that is in doubt."""

from __future__ import annotations

import pytest

from trading.models import EquityPoint, GuardState
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.tests.guard_kit import StillMarket, make_paper, open_position

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_looked_at_and_stands_is_fine():
    market = StillMarket()
    account = make_paper()
    open_position(account)
    assert account.pk in guard_pass().doubts
    assert guard_run(account_id=account.pk).clean
    market.step()
    passed = guard_pass()
    assert passed.doubts == {}
    assert passed.fine == (account.pk,)
    print(passed, GuardState.objects.get(), EquityPoint.objects.count())
