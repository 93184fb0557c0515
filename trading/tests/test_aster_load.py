"""What accounts take of an address's weight: said by a function, held against what the exchange's own server counts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from celery.signals import before_task_publish

from marketdata.services.budget import DEFAULT_LIMIT
from marketdata.venues.public import Purpose
from trading.exchange.aster import load
from trading.services.periodic import SYSTEM
from trading.services.reconcile import account_reconcile
from trading.tasks import COMPARED_WITHIN, reconcile_all
from trading.tests.builders import make_bot
from trading.tests.live_kit import BUY, LiveHouse, live_house
from vibex.lib.env import ROOT
from vibex.lib.queues import VISIBLE_AGAIN


def counted(house: LiveHouse, call: Callable[[], object]) -> int:
    """Return the weight that the server counts while something is done."""
    house.served.control.clear()
    call()
    return sum(house.served.control.state()["weights"].values())


@pytest.mark.django_db(transaction=True)
def test_a_look_a_cycle_that_holds_and_a_comparison_weigh_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with live_house(monkeypatch) as house:
        house.guard(2)  # the first one reads all of its past
        assert counted(house, house.guard) == load.look_weight(positions=0)
        assert house.cycle(BUY).status == "done"
        house.guard()
        compare = lambda: account_reconcile(account_id=house.account.pk, trigger="hourly")  # noqa: E731
        assert counted(house, house.guard) == load.look_weight(positions=1)
        assert counted(house, house.cycle) == load.look_weight(positions=1)
        assert counted(house, compare) == load.comparison_weight(positions=1)


def test_it_reckons_with_the_limits_that_the_ledger_of_weight_keeps() -> None:
    assert (load.ALLOWED, load.SHARE) == (DEFAULT_LIMIT, Purpose.FEED.value)
    assert load.PASS_EVERY.total_seconds() == SYSTEM["system:guard"][1]
    assert load.COMPARED_WITHIN.total_seconds() == COMPARED_WITHIN < VISIBLE_AGAIN


@pytest.mark.django_db
def test_comparisons_are_spread_so_that_looks_of_the_guard_find_weight_beside_them() -> None:
    for name in ("one", "two", "three"):
        make_bot(name, status="running")
    due: list[datetime | None] = []

    def sent(sender: str, headers: dict[str, str | None], **_: object) -> None:
        if sender == "trading.tasks.reconcile_account":
            due.append(datetime.fromisoformat(headers["eta"]) if headers["eta"] else None)

    before_task_publish.connect(sent)
    try:
        reconcile_all()
    finally:
        before_task_publish.disconnect(sent)
    first, second, third = (at or datetime.now(UTC) for at in due)
    apart = timedelta(seconds=COMPARED_WITHIN / 3)
    for before, after in ((first, second), (second, third)):
        assert abs(after - before - apart) < timedelta(seconds=5)


def test_the_table_of_the_page_is_the_one_that_is_reckoned() -> None:
    assert load.table() in (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
