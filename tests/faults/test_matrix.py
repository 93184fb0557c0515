"""The fault matrix: every call of a position's life, struck by every fault, against the running test exchange.

After each: exactly the intended orders there, nothing sent twice, protected or flat after one look of the guard and within
ten seconds, and books equal to the exchange's. What each cell is and how it ends: docs/fault-matrix.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.house import a_cell, late_ones_land
from tests.faults.matrix import CALLS, FAULTS, Column, End, Struck, end_of, table
from trading.exchange_server.server import Served
from trading.tests.live_kit import live_exchange

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
TEN_SECONDS = 10.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with live_exchange() as running:
        yield running


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
@pytest.mark.parametrize("call", CALLS, ids=lambda one: one.name)
def test_a_life_goes_on(monkeypatch, served, call: Struck, fault: Column):
    expected = end_of(call, fault)
    ended = _lived(monkeypatch, served, call, fault)
    if ended is None or (ended is End.MENDED and expected is End.THROUGH):
        # On a busy machine what is asked again within three seconds takes longer, or is not asked again in time: it is then
        # the guard's to mend.
        ended = _lived(monkeypatch, served, call, fault, name="live again")
    assert ended is not None, "the call was never made"
    assert ended == expected or (ended, expected) == (End.THROUGH, End.MENDED), "it may be better than told, not worse"


def _lived(monkeypatch, served, call: Struck, fault: Column, *, name: str = "live") -> End | None:
    """Go through a life that is struck once, and return how it ended; None when the call that was to fail was never made."""
    with a_cell(monkeypatch, served, name) as cell:
        cell.live_until(call.phase)
        cell.strike(call, fault)
        cell.step(call.phase)
        if not cell.struck():
            return None
        late_ones_land(fault)
        clean = cell.clean(call.phase)
        cell.recover()
        ended = cell.end(call.phase, clean=clean)
        cell.a_minute_passes()
        cell.whole()
        assert cell.safe()
        cell.finish()
        assert cell.recovery <= TEN_SECONDS
    return ended


def test_the_page_shows_this_matrix():
    page = (ROOT / "docs/fault-matrix.md").read_text(encoding="utf-8")
    assert table() in page, "run: python -m tests.faults.matrix"
