"""One bot of a person with a few records, for tests of what the API tells of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.test import Client

from accounts.models import Account, Bot, User
from decisions.models import Cycle, Decision, DiaryEntry, Interaction

AT = datetime(2026, 3, 14, 15, tzinfo=UTC)
PASSWORD = "a password that is long"


def person(name: str, **fields: Any) -> User:
    return User.objects.create_user(f"{name}@example.com", PASSWORD, **fields)


class Records:
    """A bot and what is on record of it, told one by one, each a minute after the one before."""

    def __init__(self, name: str = "alice", *, owner: User | None = None) -> None:
        self.owner = owner or person(name)
        self.account = Account.objects.create(owner=self.owner, name=name, venue="sim")
        self.bot = Bot.objects.create(account=self.account, name=name, symbols=["BTCUSDT"], timeframes=["3m"])
        self.at = AT
        self.client = Client()
        self.client.force_login(self.owner)

    def cycle(self, **fields: Any) -> Cycle:
        self.at += timedelta(minutes=1)
        given = {"scheduled_for": self.at, "lease_until": self.at, "began": self.at, "status": "done"}
        return Cycle.objects.create(bot=self.bot, account=self.account, **{**given, **fields})

    def call(self, cycle: Cycle | None = None, **fields: Any) -> Interaction:
        given = {"outcome": "answered", "model_requested": "peer/one", "provider": "openrouter", "at": self.at}
        return Interaction.objects.create(bot=self.bot, cycle=cycle, **{**given, **fields})

    def decision(self, cycle: Cycle | None = None, **fields: Any) -> Decision:
        cycle = cycle or self.cycle()
        given = {"sequence": cycle.decisions.count(), "symbol": "BTCUSDT", "action": "hold", "at": self.at}
        return Decision.objects.create(cycle=cycle, bot=self.bot, **{**given, "verdict": "accepted", **fields})

    def entry(self, text: str, **fields: Any) -> DiaryEntry:
        self.at += timedelta(minutes=1)
        return DiaryEntry.objects.create(bot=self.bot, text=text, **{"at": self.at, "kind": "note", **fields})

    def get(self, path: str, **query: Any) -> Any:
        """Return what an address below /api/v1/ tells; every answer but 200 is a failure."""
        answer = self.client.get(f"/api/v1/{path}", query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def rows(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return self.get(path, **query)["results"]

    def refused(self, path: str, **query: Any) -> dict[str, Any]:
        """Return what was wrong, by field, with a call that does not fit."""
        answer = self.client.get(f"/api/v1/{path}", query)
        assert answer.status_code == 400, answer.content
        return answer.json()["errors"]


MONEY = Decimal("0.00231")
