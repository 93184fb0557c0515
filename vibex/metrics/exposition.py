"""The page: everything read once in some seconds, whoever asks, and written as Prometheus wants it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.cache import cache
from django.db import Error, close_old_connections
from django.utils import timezone

from vibex import looks
from vibex.metrics import families, samples
from vibex.metrics.families import FAMILIES, Family
from vibex.metrics.growing import SOURCES, Growth, grow
from vibex.metrics.samples import Sample
from vibex.metrics.totals import Series, Spread, Totals

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 5.0
"""So long a page is good: a second Prometheus costs nothing."""
PAGE: Final = "metrics:page:1"
GROWTH: Final = f"metrics:growth:{sha256(repr(FAMILIES).encode()).hexdigest()[:16]}"
"""Where the counts are left for the others. Of another version, with other labels or buckets, nothing is taken over."""
A_DAY: Final = 86_400

type Values = dict[str, list[Sample]]


@dataclass(slots=True)
class Page:
    """What was told last."""

    at: float
    """Seconds since 1970."""
    body: bytes


class Exposition:
    """The metrics of this installation, read at most once in `KEPT_SECONDS`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._page = Page(0.0, b"")
        self._growth = Growth()

    def page(self) -> bytes:
        """Return the metrics as text. Never raises for what cannot be read: that is told as such."""
        with self._lock:
            if not _good(self._page):
                with suppress(ConnectionError):
                    self._page = _shared(PAGE, Page) or self._page
            if not _good(self._page):
                self._page = Page(time.time(), self._made())
                _share(PAGE, self._page, KEPT_SECONDS)
            return self._page.body

    def forget(self) -> None:
        """Begin anew: for tests."""
        self._page, self._growth = Page(0.0, b""), Growth()

    def _made(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest

        began = time.monotonic()
        values, failed = _read(timezone.now())
        counted, told = self._counted(failed)
        for part, wrong in sorted(failed.items()):
            _keep(values, [Sample(families.PART_FAILED, (part,), wrong)])
        _keep(values, [Sample(families.SCRAPE_SECONDS, (), time.monotonic() - began)])
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Told(list(_written(values, counted, told))))
        return generate_latest(registry)

    def _counted(self, failed: dict[str, bool]) -> tuple[Totals, frozenset[Series]]:
        """Return what was counted, and which series were told before. Adds to `failed` which tables could not be read.

        While the others cannot be asked, a process that has counted nothing yet tells no counters: beginning at 0 between
        those that go on, it would make Prometheus take each of their answers for an increase.
        """
        try:
            self._growth = _shared(GROWTH, Growth) or self._growth
        except ConnectionError:
            failed["counters"] = not self._growth.cursors
            if failed["counters"]:
                return Totals(), frozenset()
        told = self._growth.totals.series()
        failed |= _grown(self._growth) if "database" not in failed else {}
        _share(GROWTH, self._growth, A_DAY)
        return self._growth.totals, told


class _Told:
    """Metrics that are known already, as the library wants to be told of them."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _read(now: datetime) -> tuple[Values, dict[str, bool]]:
    """Return how things stand, and which parts failed. A database that does not answer is asked once only."""
    values: Values = {}
    failed = {part.__name__: _failed(part, now, values) for part in samples.OUTSIDE}
    if _database_away():
        _keep(values, samples.not_ready())
        return values, failed | {"database": True} | {part.__name__: True for part in samples.INSIDE}
    return values, failed | {part.__name__: _failed(part, now, values) for part in samples.INSIDE}


def _database_away() -> bool:
    try:
        looks.database()
    except (Error, OSError):
        close_old_connections()
        return True
    return False


def _failed(part: samples.Part, now: datetime, values: Values) -> bool:
    try:
        _keep(values, list(part(now)))
    except (Error, OSError) as fault:
        log.warning("metrics: %s could not be read: %s", part.__name__, type(fault).__name__)
        return True
    except Exception:
        log.exception("metrics: %s could not be read by a fault of ours; the other parts are told", part.__name__)
        return True
    return False


def _grown(growth: Growth) -> dict[str, bool]:
    failed = {}
    for source in SOURCES:
        name = f"new {source.model._meta.verbose_name_plural}"
        try:
            failed[name] = grow(growth, source, now=time.time()) > 0
        except (Error, OSError) as fault:
            log.warning("metrics: %s could not be read: %s", name, type(fault).__name__)
            failed[name] = True
        except Exception:
            log.exception("metrics: %s could not be read by a fault of ours; the other parts are told", name)
            failed[name] = True
    return failed


def _keep(values: Values, told: Iterable[Sample]) -> None:
    for sample in told:
        values.setdefault(sample.family.name, []).append(sample)


def _written(values: Values, totals: Totals, told: frozenset[Series]) -> Iterator[Metric]:
    """Yield every metric. A series that was not `told` before is told as 0 first: from nothing to 1 is no increase."""
    for family in FAMILIES:
        if family.kind == "gauge" and family.name in values:
            yield _gauge(family, values[family.name])
        elif family.kind == "counter" and family.name in totals.counts:
            yield _counter(family, totals, told)
        elif family.kind == "histogram" and family.name in totals.spreads:
            yield _histogram(family, totals, told)


def _gauge(family: Family, told: Iterable[Sample]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for sample in told:
        metric.add_metric(sample.labels, float(sample.value))
    return metric


def _counter(family: Family, totals: Totals, told: frozenset[Series]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, count in totals.counts[family.name].items():
        metric.add_metric(labels, count if (family.name, labels) in told else 0.0)
    return metric


def _histogram(family: Family, totals: Totals, told: frozenset[Series]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    ends = [*(str(end) for end in family.buckets), "+Inf"]
    for labels, counted in totals.spreads[family.name].items():
        spread = counted if (family.name, labels) in told else Spread.empty(family)
        metric.add_metric(labels, list(zip(ends, spread.added_up(), strict=True)), spread.sum)
    return metric


def _good(page: Page) -> bool:
    return 0 <= time.time() - page.at < KEPT_SECONDS


def _shared[T](key: str, kind: type[T]) -> T | None:
    """Return what another process has left; None in one process. Raises ConnectionError while the cache is away."""
    if not settings.REDIS_URL:
        return None
    from redis import RedisError

    try:
        found: Any = cache.get(key)
    except (RedisError, OSError) as fault:
        raise ConnectionError(f"the cache does not answer: {type(fault).__name__}") from None
    except Exception:  # noqa: BLE001 - it holds what an older version wrote
        return None
    return found if isinstance(found, kind) else None


def _share(key: str, value: Any, seconds: float) -> None:
    if settings.REDIS_URL:
        try:
            cache.set(key, value, seconds)
        except Exception:  # noqa: BLE001 - a cache that is away, however it says so: then each process counts by itself
            log.warning("metrics cannot be shared: the cache does not answer")


exposition: Final = Exposition()
