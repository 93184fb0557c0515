"""How an account is looked after stands on its pages, in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from trading.models import GuardState
from trading.tests.builders import make_account

pytestmark = pytest.mark.django_db


def on_the_pages(client: Client, **state: Any) -> str:
    account, now = make_account(), timezone.now()
    state = {name: now - value if isinstance(value, Ago) else value for name, value in state.items()}
    if state:
        GuardState.objects.create(account=account, **state)
    client.force_login(account.owner)
    told = []
    for path in (f"/accounts/{account.pk}/", f"/accounts/{account.pk}/books/", f"/accounts/{account.pk}/live/"):
        answer = client.get(path)
        assert answer.status_code == 200
        _, found, rest = answer.content.decode().partition(f'id="guard-of-{account.pk}"')
        assert found, path
        told.append(" ".join(rest.partition("</p>")[0].split()))
    return told[0] if told[0] == told[1] == told[2] else "the pages differ: " + " | ".join(told)


class Ago(timedelta):
    """How long before the test, which may run long after it was collected."""


def ago(seconds: float) -> Ago:
    return Ago(seconds=seconds)


@pytest.mark.parametrize(
    ("state", "said", "late"),
    [
        ({}, "nothing is open, and no bot runs", False),
        ({"since": ago(0)}, "looks within 30 seconds", False),
        ({"since": ago(9_000), "at": ago(1)}, "✓ well", False),
        ({"since": ago(9_000), "at": ago(1), "well": False, "text": "it has <b>no</b> stop"}, "not well", False),
        ({"since": ago(9_000), "at": ago(8_000)}, "last looked", True),
        ({"since": ago(9_000)}, "it has not looked yet", True),
        ({"at": ago(8_000)}, "nothing is open", False),
    ],
)
def test_the_last_look_its_age_and_its_result_are_on_desk_and_books(
    client: Client, state: dict[str, Any], said: str, late: bool
) -> None:
    text = on_the_pages(client, **state)
    assert said in text
    assert (">late<" in text) is late
    assert "<b>no</b>" not in text
    if state.get("text"):
        assert "&lt;b&gt;no&lt;/b&gt;" in text


def test_the_admin_shows_it_and_changes_nothing(admin_client: Client) -> None:
    state = GuardState.objects.create(account=make_account(), at=timezone.now(), text="a stop was placed")
    assert b"a stop was placed" in admin_client.get("/admin/trading/guardstate/").content
    answer = admin_client.post(f"/admin/trading/guardstate/{state.pk}/change/", {"text": "all is well"})
    assert answer.status_code in (302, 403)
    state.refresh_from_db()
    assert state.text == "a stop was placed"
