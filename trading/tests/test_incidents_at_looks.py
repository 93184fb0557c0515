"""What did not get through is told until a look in which it did, once, and no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Incident
from accounts.services import incident_open
from trading.models import Position
from trading.services.ready import account_ready
from trading.tests.live_kit import BUY, SYMBOL, live_house

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_target_that_is_refused_at_each_look_is_one_incident_until_it_stands(monkeypatch):
    with live_house(monkeypatch) as house:
        no_target = {"form": {"type": "TAKE_PROFIT_MARKET"}, "method": "POST", "count": 5, "code": -4045}
        house.fault("refuse", **no_target)
        house.cycle(BUY)
        for _ in range(4):
            house.guard()
            assert "target-failed" in house.incidents()
        assert Incident.objects.filter(kind="target-failed").count() == 1
        house.guard(2)
        assert "target-failed" not in house.incidents()


def test_books_that_differed_and_are_flat_on_both_sides_differ_no_more(monkeypatch):
    with live_house(monkeypatch) as house:
        house.guard()
        past = timezone.now() - timedelta(minutes=1)
        row = Incident.objects.create(
            account=house.account, kind="position-mismatch", text="differs", data={"subject": SYMBOL}
        )
        Incident.objects.filter(pk=row.pk).update(opened=past)
        house.guard()
        assert not Position.objects.filter(closed=None).exists()
        assert "position-mismatch" not in house.incidents()


def test_a_symbol_whose_terms_can_be_read_again_is_an_incident_no_more(monkeypatch):
    with live_house(monkeypatch) as house:
        incident_open(account=house.account, kind="terms", text="cannot be traded", subject=SYMBOL)
        account_ready(house.account, [SYMBOL])
        assert "terms" not in house.incidents()
