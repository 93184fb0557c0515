"""WebSocket routes, assembled from the apps. Each leads to a `Stream`, which says who may listen."""

from channels.routing import URLRouter
from django.urls import path, re_path

from trading.consumers import BotStream, MarketData, Nowhere, Positions, TradingEvents

websocket = URLRouter(
    [
        path("ws/trading-events/", TradingEvents.as_asgi()),
        path("ws/market-data/", MarketData.as_asgi()),
        path("ws/positions/", Positions.as_asgi()),
        path("ws/bots/<int:bot_id>/stream/", BotStream.as_asgi()),
        re_path(r"", Nowhere.as_asgi()),
    ]
)
