"""The demo data are an account as any other: its books agree with its venue, it is looked after, and it can be halted."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.models import Incident
from tests.support.demo import demo
from trading.models import Position
from trading.services.guard import guard_run
from trading.services.halt import account_halt
from trading.services.reconcile import reconcile_dry

pytestmark = pytest.mark.django_db(transaction=True)


def test_books_and_venue_of_the_demo_agree_and_its_positions_can_be_closed():
    account = demo(now=timezone.now()).account
    before = set(Incident.objects.values_list("kind", flat=True))
    assert not reconcile_dry(account).differences
    guard_run(account_id=account.pk)
    assert set(Incident.objects.values_list("kind", flat=True)) == before
    assert Position.objects.filter(account=account, closed=None).count() == 2
    halted = account_halt(account=account, reason="test")
    assert (halted.flat, len(halted.closed), halted.problem) == (True, 2, "")
    assert not Position.objects.filter(account=account, closed=None).exists()
