"""What several acceptance tests need."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from typing import Any

from decisions.tests.builders import envelope
from decisions.tests.llm_server import Behave, sends
from marketdata.models import VenueBudget
from trading.tests.live_kit import LiveHouse


def looked_at(house: LiveHouse) -> LiveHouse:
    """Return the house after the guard has looked once. A life of a day passes in seconds: requests are not rationed."""
    house.guard()
    VenueBudget.objects.update(limit=10**7)
    return house


def answering(text: Callable[[str], str], **changes: Any) -> Behave:
    """Have a model answer with a text, made with the decision id that it was asked under, in an ordinary envelope."""

    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        asked = re.search(r"decision_id\W+([0-9a-f]{16})", json.dumps(request))
        assert asked, "the prompt names the decision id"
        sends(envelope(text(asked[1]), **changes))(connection, request)

    return behave


def decisions_text(asked: str, *items: dict[str, Any]) -> str:
    """Return a reply in the form that is asked for."""
    return json.dumps({"decision_id": asked, "decisions": list(items)})
