"""A worker that has more in hand than threads, and is told to end. Run by test_serve.py as a process: a worker is one for all."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from celery import Celery

from vibex.serve import WORKER_THREADS, Worker

PATIENCE: Final = 60.0
app = Celery("backlog", broker="memory://localhost/")
app.set_default()  # for the threads of the pool
app.conf.update(task_acks_late=True, task_default_queue="slow", broker_transport_options={"polling_interval": 0.05})
released = threading.Event()
began, ended = list[int](), list[int]()


@app.task
def takes_long(number: int) -> None:
    began.append(number)
    released.wait(PATIENCE)
    ended.append(number)


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)


def main(count: int) -> None:
    for number in range(count):
        takes_long.apply_async((number,), countdown=0.1)  # these are taken beyond what the threads can do
    worker = Worker(app)
    controller = worker._controller
    thread = threading.Thread(target=worker.start, daemon=True)
    thread.start()
    wait_for(lambda: len(began) == WORKER_THREADS and len(worker._state.reserved_requests) == count)
    taken = len(worker._state.reserved_requests)
    worker.stop()
    wait_for(lambda: controller.pool.executor._shutdown)
    released.set()
    thread.join(PATIENCE)
    sys.stdout.write(f"taken={taken} began={len(began)} ended={len(ended)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
