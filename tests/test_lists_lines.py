"""Rows of lists are written by a loop of our own (`line_of`): they are what their serializers say, to the last character."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from rest_framework import serializers
from rest_framework.test import APIClient

from accounts.access import views
from accounts.models import User
from tests.support.demo import demo
from tests.test_lists_queries import LISTS
from vibex.lib.api import Amount
from vibex.lib.api.lines import line_of

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


@dataclass
class Inner:
    name: str | None = "inner"

    def shout(self) -> str:
        return f"{self.name}!"


@dataclass
class Row:
    number: Any = 7
    text: Any = "text"
    amount: Any = Decimal("12.3400")
    at: Any = MOMENT
    on: Any = True
    data: Any = field(default_factory=lambda: {"a": [1, None]})
    inner: Inner | None = field(default_factory=Inner)


class InnerOut(serializers.Serializer[Any]):
    name = serializers.CharField()


class RowOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    text = serializers.CharField()
    amount = Amount()
    at = serializers.DateTimeField()
    on = serializers.BooleanField()
    data = serializers.JSONField()
    name = serializers.CharField(source="inner.name", allow_null=True)
    stands_for = serializers.CharField(source="inner.name", default="nobody")
    optional = serializers.CharField(source="inner.name", required=False)
    shouted = serializers.CharField(source="inner.shout", default=None)
    inner = InnerOut()
    choice = serializers.ChoiceField(["text", "other"], source="text")
    made = serializers.SerializerMethodField()

    def get_made(self, row: Any) -> str:
        return f"of {type(row).__name__}"


@pytest.mark.parametrize(
    "row",
    [
        Row(),
        Row(inner=None),
        Row(inner=Inner(name=None)),
        Row(number=None, text=None, amount=None, at=None, on=None, data=None),
        Row(number="8", text=9, amount=Decimal("-0.00000000004"), at=MOMENT.replace(microsecond=0), on="false"),
        Row(amount=Decimal("1E+5"), at=MOMENT.astimezone(timezone(timedelta(hours=3)))),
        Row(amount="3.50", text="", data=[]),
        Row(amount=Decimal("0.00")),
    ],
)
def test_a_row_is_told_as_its_serializer_tells_it(row):
    serializer = RowOut()

    assert list(line_of(serializer)(row).items()) == list(serializer.to_representation(row).items())


def test_a_row_by_names_is_told_as_well():
    serializer, row = RowOut(), {**vars(Row()), "inner": {"name": "inner", "shout": "inner!"}}

    assert line_of(serializer)(row) == serializer.to_representation(row)


def test_an_amount_beyond_what_is_stored_is_told_as_the_framework_tells_it():
    plain = serializers.DecimalField(max_digits=28, decimal_places=10, normalize_output=True)

    for amount in ("123456789012345678.1234567891", "0.12345678905", "-7", "0", "1000000000000", "0.0000000001"):
        assert Amount().to_representation(Decimal(amount)) == plain.to_representation(Decimal(amount))


@pytest.mark.ci
@pytest.mark.django_db
def test_every_list_says_what_its_serializer_says(monkeypatch):
    made = demo(cycles=2, equity_points=2)
    staff = User.objects.create_superuser("staff@example.com", "correct horse battery")
    given = {"account_id": made.account.pk, "bot_id": made.bot.pk}
    client, filled = APIClient(), 0
    client.force_authenticate(staff)

    for name, keys in LISTS.items():
        path = reverse(name, kwargs={key: given[key] for key in keys})
        by_loop = client.get(path)
        with monkeypatch.context() as patched:
            patched.setattr(views, "line_of", lambda serializer: serializer.to_representation)
            patched.setattr(views, "teller_of", lambda kind, context: kind(context=context))
            by_framework = client.get(path)
        assert by_loop.status_code == 200, path
        told, same = json.loads(by_loop.content), json.loads(by_framework.content)
        assert [list(row.items()) for row in told["results"]] == [list(row.items()) for row in same["results"]], path
        filled += bool(told["results"])

    assert filled >= 15
