"""Several processes that ask the same model. Run by test_turns.py; each writes when its requests began and ended."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path

import django


def main(processes: int, diary: Path) -> None:
    django.setup()
    from django.conf import settings
    from django.db import connections

    if not settings.REDIS_URL:
        _tables()
    connections.close_all()
    children = [_child(diary) for _ in range(processes)]
    if any(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children):
        sys.exit("one of them failed")


def _tables() -> None:
    """Make the two tables that are wanted: a migration of the whole house takes longer than all that is measured."""
    from django.db import connection

    from decisions.models import AskBucket, AskPlace

    with connection.schema_editor() as editor:
        editor.create_model(AskBucket)
        editor.create_model(AskPlace)
    if connection.vendor == "postgresql":  # the threads of a pool do not come along into a child
        connection.close_pool()  # type: ignore[attr-defined]


def _child(diary: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        random.seed(os.getpid())
        asking = [threading.Thread(target=_ask, args=(diary,)) for _ in range(2)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        status = 0
    finally:
        os._exit(status)


def _ask(diary: Path) -> None:
    from decisions.llm.endpoints import Endpoint
    from decisions.llm.turns import NoTurn, turn
    from vibex.lib.clock import Deadline

    endpoint = Endpoint("http://nobody.test/v1", "the key", "shared", requests_per_minute=48, at_once=5)
    for _ in range(2):
        try:
            with turn(endpoint, "model", Deadline(3)):
                began = time.time()
                time.sleep(random.uniform(0.01, 0.1))
                line = f"{began} {time.time()}\n"
        except NoTurn as fault:
            line = f"{str(fault).partition(':')[0]}\n"
        with diary.open("ab", buffering=0) as file:
            file.write(line.encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
