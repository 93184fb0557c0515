"""The benchmark of what bots share says when it grows with them."""

from __future__ import annotations

import pytest

from benchmarks import shared_rounds
from benchmarks.shared import table


def run(bots: int, **figures: float) -> dict[str, object]:
    flat = {"requests": 4.0, "weight": 4.0, "computed": 3.0, "indicators": 0.001, "busy": 0.02 * bots, "minutes": 1.0}
    return {"vendor": "postgresql", "bots": bots, **flat, **figures}


def test_what_does_not_grow_keeps_the_target_though_cycles_do() -> None:
    made = table([run(1), run(10), run(100)])
    assert made.rows[-1] == ("growth", "+0.00", "+0.00", "+0.00", "+0.00", "+1.00")
    assert made.notes[1].count("kept") == 1


@pytest.mark.parametrize("figure", ["requests", "computed"])
def test_what_grows_with_bots_misses_it(figure: str) -> None:
    made = table([run(bots, **{figure: float(bots)}) for bots in (1, 10, 100)])
    assert "**missed**" in made.notes[1]


@pytest.mark.parametrize(("now", "wait"), [(10.0, 54.0), (64.5, 59.5), (14 * 60.0 + 10, 114.0)])
def test_the_minute_begins_behind_a_close_of_the_shortest_candle_only(
    now: float, wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.shared_rounds.time.time", lambda: now)
    assert shared_rounds.until_a_minute_begins() == pytest.approx(wait)
