"""WebSocket routes, assembled from the apps."""

from channels.routing import URLRouter
from django.urls import path

from trading.consumers import AccountConsumer

websocket = URLRouter([path("ws/account/<int:account_id>/", AccountConsumer.as_asgi())])
