"""An example of every message, for docs/asyncapi.yaml. A test checks that each is one."""

from __future__ import annotations

from typing import Any, Final

AT: Final = "2026-11-29T12:00:00Z"
SEQUENCE: Final = 1_795_953_600_000_000

BOT: Final = {
    "id": 7,
    "account": 3,
    "name": "trend",
    "status": "running",
    "model": "rules/trend",
    "interval": "3m",
    "symbols": ["BTCUSDT", "ETHUSDT"],
}
ACCOUNT: Final = {
    "id": 3,
    "name": "paper",
    "venue": "sim",
    "mode": "paper",
    "network": "mainnet",
    "state": "active",
    "state_reason": "",
    "state_since": AT,
    "halted_at": None,
    "equity": "10012.5",
    "equity_at": AT,
}
POSITION: Final = {
    "id": 41,
    "account": 3,
    "bot": 7,
    "symbol": "BTCUSDT",
    "side": "long",
    "quantity": "0.018",
    "entry_price": "70866.2",
    "leverage": 3,
    "stop": "70190",
    "target": "72240",
    "bracket": "armed",
    "opened": AT,
    "closed": None,
    "exit_price": None,
    "exit_reason": "",
    "realised": "0",
    "fees": "0.51023664",
    "funding": "0",
    "mark": "71010.4",
    "unrealised": "2.5956",
}
PRICE: Final = {
    "at": AT,
    "last": "71010.1",
    "bid": "71010.1",
    "ask": "71010.2",
    "mark": "71010.4",
    "funding_rate": "0.0001",
    "next_funding_at": "2026-11-29T16:00:00Z",
}
STAGE: Final = {
    "sequence": SEQUENCE + 2,
    "kind": "stage",
    "account": 3,
    "bot": 7,
    "market": None,
    "symbol": None,
    "at": AT,
    "data": {"id": 5120, "bot": 7, "stage": "ask"},
}
EQUITY: Final = {
    "sequence": SEQUENCE + 3,
    "kind": "equity",
    "account": 3,
    "bot": None,
    "market": None,
    "symbol": None,
    "at": AT,
    "data": {"at": AT, "wallet": "10009.9044", "unrealised": "2.5956", "equity": "10012.5"},
}

_STATE: Final = {"type": "snapshot", "sequence": SEQUENCE, "at": AT, "reset": False}

EXAMPLES: Final[dict[str, list[dict[str, Any]]]] = {
    "Subscribe": [
        {"type": "subscribe"},
        {"type": "subscribe", "accounts": [3], "symbols": ["BTCUSDT"], "kinds": ["order", "fill", "position"]},
        {"type": "subscribe", "since": SEQUENCE + 2},
    ],
    "Unsubscribe": [{"type": "unsubscribe"}],
    "Ping": [{"type": "ping", "at": AT}],
    "Pong": [{"type": "pong"}],
    "TradingSnapshot": [
        {
            **_STATE,
            "accounts": [ACCOUNT],
            "bots": [BOT],
            "positions": [POSITION],
            "orders": [],
            "locks": [],
            "incidents": [],
            "approvals": [],
            "jobs": [],
        }
    ],
    "PositionsSnapshot": [{**_STATE, "positions": [POSITION]}],
    "MarketSnapshot": [
        {
            **_STATE,
            "prices": [{"market": "sim", "symbol": "BTCUSDT", "data": PRICE}],
            "candles": [
                {
                    "market": "sim",
                    "symbol": "BTCUSDT",
                    "data": {
                        "interval": "1m",
                        "open_time": AT,
                        "open": 70990.0,
                        "high": 71012.5,
                        "low": 70988.1,
                        "close": 71010.1,
                        "volume": 12.25,
                        "closed": False,
                    },
                }
            ],
        }
    ],
    "BotSnapshot": [
        {**_STATE, "bot": BOT, "cycles": [], "decisions": [], "positions": [POSITION], "orders": [], "diary": []}
    ],
    "Changes": [{"type": "changes", "changes": [STAGE, EQUITY]}],
    "Resumed": [{"type": "resumed", "sequence": SEQUENCE + 2}],
    "Unsubscribed": [
        {"type": "unsubscribed", "reason": "asked", "accounts": None},
        {"type": "unsubscribed", "reason": "access", "accounts": [3]},
    ],
    "Error": [{"type": "error", "code": "not-found", "message": "There is no account 4."}],
    "PingOut": [{"type": "ping", "at": AT}],
    "PongOut": [{"type": "pong", "at": AT}],
}
"""By the name of the message's class."""
