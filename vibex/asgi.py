"""The door for pages and streams. Streams are open to signed-in people from the allowed hosts only."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")
http = get_asgi_application()

from vibex.routing import websocket  # noqa: E402 - consumers import models, which need the apps to be ready

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(websocket)),
    }
)
