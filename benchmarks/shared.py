"""What bots on the same symbols share: requests to the venue and indicators in a minute, with 1, 10, 100 and 1,000 bots."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import house
from benchmarks.history import growth
from benchmarks.report import Table, against
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from vibex.lib.env import ROOT

SIZES: Final = (1, 10, 100, 1_000)
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TIMEFRAMES: Final = ("1m", "15m", "1h", "4h")
HISTORY_DAYS: Final = 16
FLAT: Final = 0.1
"""A growth below this is none: a question more or less in a minute is chance."""


def measure() -> list[Table]:
    with serve_in_thread(simulated_markets(SYMBOLS, history_days=HISTORY_DAYS)) as exchange:
        return [table([minute(exchange, bots) for bots in SIZES])]


def minute(exchange: Served, bots: int) -> dict[str, Any]:
    """Let so many bots decide once each on what one stream writes, in a minute or as long as it takes; return counts a minute."""
    with house.folder() as home, house.postgres() as url:
        more = {"DATABASE_URL": url} if url else {}
        environment = house.environment(
            home,
            MARKET="live",
            VENUE="aster_testnet",
            ASSETS=",".join(symbol.removesuffix("USDT") for symbol in SYMBOLS),
            ASTERDEX_TESTNET_REST_URL=exchange.http,
            ASTERDEX_TESTNET_STREAM_URL=exchange.ws,
            **more,
        )
        _done("manage.py", "migrate", "--verbosity", "0", environment=environment)
        with _running("manage.py", "stream", environment=environment, said=home / "stream.txt"):
            told = _done("-m", "benchmarks.shared_rounds", str(bots), environment=environment)
            found: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    asked = [one for one in list(exchange.server.log) if found["began"] <= one.at < found["ended"]]
    counts = found | {"requests": len(asked), "weight": sum(one.weight for one in asked)}
    minutes = (found["ended"] - found["began"]) / 60
    each = {name: counts[name] / minutes for name in ("requests", "weight", "computed", "indicators")}
    return found | {"bots": bots, "minutes": minutes} | each


def table(found: list[dict[str, Any]]) -> Table:
    """Return what was measured, fewest bots first, with what grew how in the last row."""
    cells: dict[str, tuple[str, Callable[[float], str]]] = {
        "requests to the venue": ("requests", lambda value: f"{value:.1f}"),
        "weight": ("weight", lambda value: f"{value:.1f}"),
        "indicators computed": ("computed", lambda value: f"{value:.1f}"),
        "their processor time": ("indicators", lambda value: f"{value * 1000:.1f} ms"),
        "processor time of all cycles": ("busy", lambda value: f"{value:.2f} s"),
    }
    rows = [(f"{one['bots']:,}", *(told(one[key]) for key, told in cells.values())) for one in found]
    sizes = [float(one["bots"]) for one in found]
    powers = {key: growth(sizes, [max(one[key], 1e-6) for one in found]) for key, _ in cells.values()}
    verdict = against(max(powers["requests"], powers["computed"]), FLAT)
    most = max(one["minutes"] for one in found)
    rows.append(("growth", *(f"{power:+.2f}" for power in powers.values())))
    how = (
        f"A minute of {len(SYMBOLS)} symbols × {', '.join(TIMEFRAMES)} on {found[0]['vendor']}, from the close of a candle "
        "on. `manage.py stream` follows the test exchange, whose log counts requests and weight; in another process every "
        f"bot takes one cycle (rules that hold), spread over the minute; where they took longer ({most:.1f} minutes at most) "
        "the figures are those of a minute on average, but for the last. Growth is the exponent of a power fitted to them: "
        "0 does not grow, 1 grows as the bots do."
    )
    target = f"Target: what is shared does not grow with bots (growth ≤ {FLAT:g}): {verdict}. Cycles are not shared: they do."
    return Table("What bots on the same symbols share", ("bots", *cells), tuple(rows), (how, target))


def _done(*words: str, environment: dict[str, str]) -> str:
    """Return what a command said. Raises RuntimeError with its last words when it failed."""
    ran = subprocess.run(house.python(*words), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{ran.stderr[-3000:]}")
    return ran.stdout


@contextmanager
def _running(*words: str, environment: dict[str, str], said: Path) -> Iterator[None]:
    with said.open("wb") as out:
        process = subprocess.Popen(house.python(*words), cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            time.sleep(1)
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(words)} has ended:\n{said.read_text()[-3000:]}")
            yield
        finally:
            process.terminate()
            process.wait(30)
