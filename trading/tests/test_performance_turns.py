"""A round of sums ends in time, however many accounts there are; who had no turn is first in the next one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from trading.models import PerformanceState
from trading.services import performance
from trading.services.performance import performance_refresh_all
from trading.tests.builders import make_account

pytestmark = pytest.mark.django_db


def test_accounts_have_their_turns_the_oldest_sums_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "PASS_SECONDS", 0.0)
    accounts = [make_account(name) for name in ("first", "second", "third")]
    now = timezone.now()
    for count in (1, 2, 3):
        assert performance_refresh_all(now=now + timedelta(minutes=count)) == 1
        assert PerformanceState.objects.count() == count
    summed = PerformanceState.objects.order_by("at").values_list("account_id", flat=True)
    assert list(summed) == [account.pk for account in accounts]
