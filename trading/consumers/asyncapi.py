"""The AsyncAPI 3.0 document of the streams, made of the messages themselves."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from trading.consumers import messages
from trading.consumers.codes import MEANING
from trading.consumers.examples import EXAMPLES
from trading.consumers.stream import PING_EVERY, Stream
from trading.consumers.streams import BotStream, MarketData, Positions, TradingEvents

STREAMS: Final[dict[str, tuple[str, type[Stream]]]] = {
    "tradingEvents": ("/ws/trading-events/", TradingEvents),
    "positions": ("/ws/positions/", Positions),
    "marketData": ("/ws/market-data/", MarketData),
    "botStream": ("/ws/bots/{botId}/stream/", BotStream),
}
FROM_CLIENT: Final[tuple[type[BaseModel], ...]] = (
    messages.Subscribe,
    messages.Unsubscribe,
    messages.Ping,
    messages.Pong,
)
TO_CLIENT: Final[tuple[type[BaseModel], ...]] = (
    messages.Changes,
    messages.Resumed,
    messages.Unsubscribed,
    messages.Error,
    messages.PingOut,
    messages.PongOut,
)
SNAPSHOTS: Final[tuple[type[BaseModel], ...]] = (
    messages.TradingSnapshot,
    messages.PositionsSnapshot,
    messages.MarketSnapshot,
    messages.BotSnapshot,
)


def document() -> dict[str, Any]:
    """Return the whole document as plain data."""
    every = (*FROM_CLIENT, *TO_CLIENT, *SNAPSHOTS)
    _, schemas = models_json_schema(
        [(model, "serialization") for model in every], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Vibex streams", "version": "1", "description": _about()},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in STREAMS},
        "operations": {
            f"{way}{name[0].upper()}{name[1:]}": _operation(name, way)
            for name in STREAMS
            for way in ("receive", "send")
        },
        "components": {
            "messages": {model.__name__: _message(model) for model in every},
            "schemas": schemas["$defs"],
        },
    }


def text() -> str:
    """Return it as YAML, as it stands in docs/asyncapi.yaml."""
    import yaml

    class Whole(yaml.SafeDumper):
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    head = "# Made by `manage.py asyncapi`: do not edit.\n"
    return head + yaml.dump(document(), Dumper=Whole, sort_keys=False, allow_unicode=True, width=110)


def _about() -> str:
    codes = "\n".join(f"- {code.value}: {meaning}" for code, meaning in MEANING.items())
    return (
        "Who listens is known by the cookie of a browser's session (from a page of this host), by the header "
        "`Authorization: Bearer <access token>` or `Api-Key <key>`, or by `?ticket=` with a ticket of "
        "`POST /api/v1/auth/ticket/`, which is good once and for 30 s. Nobody else gets in (HTTP 403).\n\n"
        f"A ping comes every {PING_EVERY:.0f} s.\n\nClose codes:\n\n{codes}\n"
    )


def _channel(name: str) -> dict[str, Any]:
    address, stream = STREAMS[name]
    models = (*FROM_CLIENT, stream.snapshot, *TO_CLIENT)
    channel: dict[str, Any] = {
        "address": address,
        "description": f"{(stream.__doc__ or '').strip()} Kinds of changes: {', '.join(sorted(stream.kinds))}.",
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in models},
    }
    if "{" in address:
        channel["parameters"] = {"botId": {"description": "Id of a bot that you may see."}}
    return channel


def _operation(name: str, way: str) -> dict[str, Any]:
    """From where the server stands: it receives what a client sends."""
    stream = STREAMS[name][1]
    models = FROM_CLIENT if way == "receive" else (stream.snapshot, *TO_CLIENT)
    return {
        "action": way,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{model.__name__}"} for model in models],
    }


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "summary": " ".join((model.__doc__ or "").split()),
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": [{"payload": each} for each in EXAMPLES[model.__name__]],
    }
