"""Which installation this is, as other systems see it."""

import base64
import hashlib

from django.conf import settings


def installation_tag() -> str:
    """Return four characters that mark this installation's client order ids on an exchange.

    The same for all its processes, since it follows from the secret key (20 bits of a hash: it gives nothing away).
    """
    digest = hashlib.sha256(b"vibex installation " + settings.SECRET_KEY.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:4]
