"""Asking for metrics and reading the answer, for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from trading.services.watchers import watched
from vibex.metrics.exposition import PAGE, exposition

TOKEN = "a-token-of-more-than-sixteen"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

type Told = dict[str, dict[tuple[tuple[str, str], ...], float]]


def told(body: bytes | str) -> Told:
    """Return the samples of a page by name, then by their labels in order."""
    text = body.decode() if isinstance(body, bytes) else body
    found: Told = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def now() -> Told:
    """Read everything anew, as a scrape after five seconds does."""
    exposition._page.at = 0.0
    cache.delete(PAGE)
    return told(exposition.page())


def value(found: Told, name: str, /, **labels: str) -> float:
    return found[name][tuple(sorted(labels.items()))]


def scraped(client: Client) -> Told:
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.content
    return told(answer.content)


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """Begin every test at 0, and leave nothing to the next one."""
    exposition.forget()
    watched.forget()
    yield
    exposition.forget()
    watched.forget()
