"""The door for pages and streams. Each stream asks by itself who opens it (accounts/access/sockets.py)."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402 - as below

from vibex.lib.bodies import bodies_limited  # noqa: E402 - as below
from vibex.metrics.sockets import Counted  # noqa: E402 - as below
from vibex.routing import websocket  # noqa: E402 - consumers import models, which need the apps to be ready

application = ProtocolTypeRouter(
    {
        "http": bodies_limited(http, most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "websocket": Counted(websocket),
    }
)
