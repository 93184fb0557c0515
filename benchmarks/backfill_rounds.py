"""The writing of one million candles, in a process of its own: `benchmarks.backfill` starts it per database."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import django

django.setup()  # what follows imports models

import numpy as np  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from marketdata.domain.candles import Candles  # noqa: E402
from marketdata.models import Candle  # noqa: E402
from marketdata.services.candle_table import COLUMNS, ONE_ROW, copy_bytes, rows_of  # noqa: E402
from marketdata.services.candles import candles_upsert  # noqa: E402

SYMBOLS = 4
TABLE = Candle._meta.db_table
START_MS = 1_700_006_400_000


def history(symbol: str, count: int) -> Candles:
    """Return possible one-minute candles."""
    draws = np.random.default_rng(sum(symbol.encode())).standard_normal((count, 3)).T
    close = np.round(50_000 * np.exp(np.cumsum(0.0004 * draws[0])), 1)
    opened = np.concatenate(([50_000.0], close[:-1]))
    high, low = np.maximum(opened, close) + np.abs(draws[1]), np.minimum(opened, close) * 0.999
    times = START_MS + 60_000 * np.arange(count, dtype=np.int64)
    return Candles(symbol, "1m", times, opened, high, low, close, np.abs(draws[2]))


def seconds(work: Callable[[list[Candles]], None], series: list[Candles]) -> float:
    """Empty the table, let the work fill it, and return how long that took."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLE}" if connection.vendor == "postgresql" else f"DELETE FROM {TABLE}")
        if connection.vendor == "postgresql":
            cursor.execute("CHECKPOINT")
    began = time.perf_counter()
    work(series)
    took = time.perf_counter() - began
    if Candle.objects.count() != sum(map(len, series)):
        raise RuntimeError("not every candle is there")
    return took


def ours(series: list[Candles]) -> None:
    for candles in series:
        candles_upsert(venue="sim", candles=candles, closed=True)


def bare(series: list[Candles]) -> None:
    """Write the same rows without looking: binary COPY, or executemany of plain INSERTs, each in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        for candles in series:
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(copy_bytes("sim", [candles], closed=True))
            else:
                rows = rows_of("sim", candles, closed=True)
                cursor.executemany(f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) {ONE_ROW}", rows)


def main() -> None:
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    call_command("migrate", verbosity=0)
    series = [history(f"C{number}USDT", count // SYMBOLS) for number in range(SYMBOLS)]
    found: dict[str, list[float]] = {"bare": [], "ours": [], "again": []}
    for turn in range(rounds):
        for work in (bare, ours) if turn % 2 else (ours, bare):
            found[work.__name__].append(seconds(work, series))
    began = time.perf_counter()
    ours(series)
    found["again"].append(time.perf_counter() - began)
    print(json.dumps({"vendor": connection.vendor, "rows": sum(map(len, series)), "seconds": found}))


if __name__ == "__main__":
    main()
