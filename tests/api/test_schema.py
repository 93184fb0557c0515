"""What the schema says is what the API does, for input that fits it and for input that does not.

Every address is called with cases that schemathesis makes from the schema, in parts, so that workers share them. No
answer may be a fault of the server, none may differ from what the schema says: status, content type, headers, body.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from hypothesis import HealthCheck, Phase, assume, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable

from accounts.models import Account, Alert, ApiKey, Bot, Incident, Job, SignIn
from accounts.services import jobs
from accounts.services.api_keys import api_key_create
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from marketdata.models import Instrument
from tests.support.demo import demo
from trading.models import Fill, Order, Position

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PARTS = 16
CASES = 24
"""Of each kind (that fit, that do not) for each address."""
LEAST = 5_000
"""Cases over all parts, of which each has to send its share: as many as it has of all addresses."""
SCHEMA = "/api/schema/?format=json"
KEPT_OUT = {
    "POST /api/v1/backtests/": "each case that fits would start a process; its own tests send it",
    "DELETE /api/v1/auth/keys/{id}/": "would revoke the key that the cases come with",
}
"""Not called with what fits, and why; called with what does not."""

NOT_READY = "GET /api/v1/health/ready/"
"""Answers 503 where nothing trades, as here: that is no fault of the server."""

IDS: dict[str, Any] = {
    "accounts": Account,
    "alerts": Alert,
    "approvals": Decision,
    "audit": None,
    "balance": Account,
    "bots": Bot,
    "cycles": Cycle,
    "decisions": Decision,
    "diary": DiaryEntry,
    "incidents": Incident,
    "interactions": Interaction,
    "jobs": Job,
    "keys": ApiKey,
    "market": Instrument,
    "orders": Order,
    "positions": Position,
    "sign-ins": SignIn,
    "trades": Fill,
}
"""Whose ids stand in an address, by its first word: so that cases meet rows."""


class OnTheSpot:
    """A thread that has done its work when it is started."""

    def __init__(self, *, target: Any, args: Any, **_: Any) -> None:
        self._work = lambda: target(*args)

    def start(self) -> None:
        self._work()


@pytest.fixture(autouse=True)
def _jobs_on_the_spot(monkeypatch: Any) -> None:
    """Two threads cannot write into a database in memory at once: SQLite refuses the second at once. That jobs run
    beside the call is shown by their own tests."""
    monkeypatch.setattr(jobs, "threading", SimpleNamespace(Thread=OnTheSpot, Event=threading.Event))
    monkeypatch.setattr(jobs, "_keep_beating", lambda: None)


@pytest.fixture
def key(settings: Any) -> str:
    """Return a key with every scope, of a person who has something of everything and is hindered by no budget."""
    for name in ("ADDRESS", "USER", "KEY", "TRADE", "ADMIN"):
        setattr(settings, f"API_RATE_{name}", (10**7, 60))
    settings.SIGN_IN_RATE = (10**7, 60)
    made = demo(is_staff=True, is_superuser=True)
    row, text = api_key_create(
        user=made.user, name="cases", scopes=["read", "trade", "admin"], expires=None, actor=made.user
    )
    ApiKey.objects.filter(pk=row.pk).update(confirmed=timezone.now() + timedelta(minutes=1))
    return text


@pytest.mark.parametrize("part", range(PARTS))
def test_every_address_keeps_what_the_schema_says(part: int, key: str):
    found = _operations()
    own = found[part::PARTS]
    sent, wrong = 0, []
    for operation, mode in _kinds_of(own):
        try:
            sent += _try(operation, mode, key)
        except Exception as fault:
            told = "; ".join(map(str, getattr(fault, "exceptions", [fault])))
            wrong.append(f"{operation.label}: {told}")
    assert not wrong, "\n\n".join(wrong)
    assert sent >= LEAST * len(own) / len(found), f"only {sent} cases"


def _operations() -> list[Any]:
    import schemathesis

    schema = schemathesis.openapi.from_wsgi(SCHEMA, get_wsgi_application())
    return [found.ok() for found in schema.get_all_operations()]


def _kinds_of(operations: list[Any]) -> Iterator[tuple[Any, Any]]:
    from schemathesis import GenerationMode

    for operation in operations:
        if operation.label not in KEPT_OUT:
            yield operation, GenerationMode.POSITIVE
        yield operation, GenerationMode.NEGATIVE


def _try(operation: Any, mode: Any, key: str) -> int:
    """Send cases of one kind to one address; return how many. None where nothing that does not fit can be sent."""
    from schemathesis import GenerationMode

    dice, sent, fits = random.Random(operation.label), 0, mode is GenerationMode.POSITIVE

    @seed(7)
    @hypothesis_settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        nonlocal sent
        if fits and dice.random() < 0.8:
            _name_a_row(case, dice)
        _leave_out_what_says_nothing(case)
        sent += 1
        headers = {"Authorization": f"Api-Key {key}", "Prefer": "respond-async"}
        case.call_and_validate(headers=headers, excluded_checks=_not_here(operation.label, case.query))

    with contextlib.suppress(Unsatisfiable):  # an address without any input: nothing can be sent that does not fit
        send()
    return sent


def _name_a_row(case: Any, dice: random.Random) -> None:
    for name in case.path_parameters or {}:
        word = case.path.removeprefix("/api/v1/").removeprefix("auth/").split("/")[0]
        kind = {"account_id": Account, "bot_id": Bot}.get(name, IDS.get(word))
        ids = list(kind.objects.order_by("pk").values_list("pk", flat=True)[:5]) if kind else []
        if ids:
            case.path_parameters = {**case.path_parameters, name: dice.choice(ids)}


def _leave_out_what_says_nothing(case: Any) -> None:
    """Take out what is empty in a query: it is as if it had not been sent. A list of one is sent as the one."""
    assume(not any(isinstance(value, list) and _sent_of(value) < 2 for value in (case.query or {}).values()))
    case.query = {name: value for name, value in (case.query or {}).items() if value not in ("", [], [""], None)}
    if isinstance(case.body, dict) and "json" not in (case.media_type or ""):  # in a form an empty list leaves no trace
        assume(all(value not in ([], {}, None) for value in case.body.values()))


def _sent_of(values: list[Any]) -> int:
    return len([value for value in values if value is not None])


def _not_here(label: str, query: Mapping[str, Any]) -> list[Any]:
    """Return the checks that ask for something else than what one case shows."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    not_ready = [not_a_server_error] if label == NOT_READY else []
    # Who asks for some fields gets those alone: what is required of the answer is required of a whole one.
    sparse = [checks.response_schema_conformance] if "fields" in query else []
    return [
        *not_ready,
        *sparse,
        checks.positive_data_acceptance,  # an address may refuse what fits: nothing to cancel, not confirmed, too late
        checks.ignored_auth,  # sends without a key: the walk over all routes does it for every one
        checks.use_after_free,
        checks.ensure_resource_availability,
    ]
