"""One web process with nothing beside it: `python -m benchmarks.streams_server PORT`. Reads hints to publish from its input."""

from __future__ import annotations

import os
import sys
import threading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")


def main() -> None:
    import django

    django.setup()
    from daphne.server import Server

    from vibex.asgi import application
    from vibex.serve import spare_the_start

    threading.Thread(target=_publish, daemon=True).start()
    spare_the_start()
    # As vibex.serve: many may come at once, and wait for their turn.
    endpoint = f"tcp:port={sys.argv[1]}:interface=127.0.0.1:backlog=1024"
    Server(application, endpoints=[endpoint], websocket_handshake_timeout=30).run()


def _publish() -> None:
    """Publish what a line asks for, `<topic> <kind>`: where there is no Redis only this process can."""
    from vibex.lib.events import Hint, log_of_process

    for line in sys.stdin:
        topic, kind = line.split()
        log_of_process().put([Hint((topic,), kind)])


if __name__ == "__main__":
    main()
