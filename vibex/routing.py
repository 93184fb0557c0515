"""WebSocket routes, assembled from the apps."""

from channels.routing import URLRouter

websocket = URLRouter([])
