"""The one process: market, worker and scheduler as threads beside the web server, started and stopped in order."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from celery import Celery
from django.db import connections

from vibex.lib.alive import EVERY, never_end, seen
from vibex.lib.errors import Rejected
from vibex.lib.queues import QUEUES

log = logging.getLogger(__name__)

WORKER_THREADS: Final = 4
PAUSE_AFTER_FAULT: Final = 1.0
FORCED: Final = 130
FIRST_TASKS: Final = ("trading.tasks.beat_heartbeat", "trading.tasks.schedules_sync")
"""Sent at the start: ready is told at once, and decisions that were missed are caught up."""
BEAT_SECONDS: Final = 5.0
BACKLOG: Final = 1024
HANDSHAKE_SECONDS: Final = 30
GOODBYE_SECONDS: Final = 0.3
DRAIN_SECONDS: Final = 40.0
"""A cycle may wait 30 s for a model; then it has to book what it did. Nearly always nothing is running."""


class Stoppable(Protocol):
    def start(self) -> Any:
        """Work until told to stop."""
        ...

    def stop(self) -> Any:
        """Tell it to stop, without waiting."""
        ...


@contextlib.contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold the lock of a data folder. Raises Rejected that names the process which has it.

    The operating system frees the lock when its holder dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Rejected(
                f"Vibex is already running on {folder} (process {file.read().strip() or 'unknown'}). "
                "Stop it with Ctrl-C there, or choose another folder with VIBEX_DATA_DIR.",
                code="already_running",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def port_check(host: str, port: int) -> None:
    """Raise Rejected with the remedy when nobody can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise Rejected(f"{host} is no address of this machine: use --host 127.0.0.1 or 0.0.0.0.") from None
    except OSError as error:
        raise Rejected(_why_no_port(host, port, error)) from None


def static_files_check() -> None:
    """Raise Rejected when pages would look for style and scripts in a manifest that was never made."""
    from django.contrib.staticfiles.storage import staticfiles_storage

    manifest: Callable[[], str | None] | None = getattr(staticfiles_storage, "read_manifest", None)
    if manifest is not None and manifest() is None:
        raise Rejected("static files are not collected: run `manage.py collectstatic`", code="static_files_missing")


def apart[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function of a module returns, called in a child of this process: its memory goes with the child.

    For work at the start, while there are no threads. What it raises is raised here.
    """
    gc.freeze()  # a child that collects garbage copies all that its collector looks at
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as child:
        return child.submit(work, *args, **kwargs).result()


def _why_no_port(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program. Stop that, or choose one: --port {port + 1}."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023: --port 3000."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: use --host 127.0.0.1 or 0.0.0.0."
    return f"Nobody can listen on port {port} of {host}: {error.strerror}."


class Supervised:
    """A thread that keeps one service running: when it ends without having been stopped, a new one is made."""

    def __init__(self, name: str, make: Callable[[], Stoppable]) -> None:
        self._make = make
        self._service: Stoppable | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the service to stop."""
        self._stopping.set()
        if self._service is not None:
            self._service.stop()

    def ended(self, seconds: float) -> bool:
        """Wait until it has stopped. False when it was still at work after `seconds`."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except Exception:
                log.exception("%s broke and is started anew", self._thread.name)
            finally:
                connections.close_all()
            self._stopping.wait(PAUSE_AFTER_FAULT)

    def _serve(self) -> None:
        self._service = self._make()
        if not self._stopping.is_set():  # set after this line: the service is there to be told
            self._service.start()


class Scheduler:
    """Worker and beat as threads of this process. The same tasks run in processes of their own over Redis."""

    def __init__(self, app: Celery, prepare: Callable[[], None]) -> None:
        self._prepare = prepare
        self._worker = Supervised("worker", lambda: Worker(app))
        self._beat = Supervised("beat", lambda: _beat(app))
        self._starting = threading.Thread(target=self._start, name="scheduler-start", daemon=True)
        self._app = app

    def start(self) -> None:
        """Begin as soon as the books agree with the exchange; the pages do not wait for that."""
        self._app.finalize()
        self._app.loader.import_default_modules()
        self._starting.start()

    def stop(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Send nothing new, then let running cycles end. False when one was still running after `seconds`."""
        if self._starting.is_alive():
            self._starting.join(seconds)
        self._beat.stop()
        self._worker.stop()
        return self._worker.ended(seconds) and self._beat.ended(BEAT_SECONDS)

    def _start(self) -> None:
        try:
            self._prepare()
        finally:
            connections.close_all()
            self._worker.start()
            self._beat.start()
            for task in FIRST_TASKS:
                self._app.send_task(task)


class Worker:
    """A Celery worker that ends in its own thread, after the tasks that it runs."""

    def __init__(self, app: Celery) -> None:
        self._state = _worker_state()
        self._state.should_stop = None
        self._controller: Any = app.WorkController(
            app=app,
            pool="threads",
            concurrency=WORKER_THREADS,
            queues=list(QUEUES),
            hostname="embedded@%h",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        # Its own `stop` does nothing while it is still starting; this flag is seen whenever its loop begins.
        self._state.should_stop = 0


def _worker_state() -> Any:
    """Return the module whose flag every worker of this process looks at between two messages."""
    from celery.worker import state

    return state


def _beat(app: Celery) -> Stoppable:
    from celery.beat import Service

    from vibex.beat import Scheduler as DatabaseScheduler

    # The short interval makes it stop, and see a started bot, within a second.
    service: Stoppable = Service(app, max_interval=1, scheduler_cls=DatabaseScheduler)
    return service


class Part(Protocol):
    """Something that runs beside the web server."""

    def start(self) -> Any: ...

    def stop(self) -> bool | None:
        """Stop in order; False when something had to be cut off."""
        ...


class LoopSeen:
    """Has the server's loop say that it goes round: a process whose loop stands is ended, and its crew starts another."""

    def __init__(self, every: float = EVERY) -> None:
        """`every` is in seconds."""
        self._every = every
        self._saying: Any = None

    def start(self) -> None:
        from twisted.internet.task import LoopingCall  # takes the loop that runs, so not before there is one

        self._saying = LoopingCall(seen)
        self._saying.start(self._every)

    def stop(self) -> None:
        never_end()
        if self._saying is not None and self._saying.running:
            self._saying.stop()


def run(host: str, port: int, parts: Sequence[Part]) -> bool:
    """Serve until the process is told to stop; then stop the parts, the last one first.

    Returns False when a part had to be cut off. Raises Rejected when the port was taken in the meantime.
    """
    from daphne.endpoints import build_endpoint_description_strings

    # A thousand streams that come back at once wait for their turn; Twisted's own backlog is 50.
    endpoints = [f"{one}:backlog={BACKLOG}" for one in build_endpoint_description_strings(host=host, port=port)]
    listened, in_order = _serve(endpoints, parts)
    if not listened:
        raise Rejected(f"Port {port} on {host} was taken in the meantime. Choose another one: --port {port + 1}.")
    return in_order


def run_on(descriptor: int, parts: Sequence[Part]) -> bool:
    """Do the same at a socket that listens already and that others may serve too."""
    from daphne.endpoints import build_endpoint_description_strings

    listened, in_order = _serve(build_endpoint_description_strings(file_descriptor=descriptor), parts)
    if not listened:
        raise Rejected("The socket that was handed over cannot be served.")
    return in_order


def _serve(endpoints: Sequence[str], parts: Sequence[Part]) -> tuple[bool, bool]:
    """Serve until told to stop. Returns whether anything was listened to, and whether all parts ended in order."""
    from daphne.server import Server

    from vibex.asgi import application

    server = Server(
        application,
        endpoints=list(endpoints),
        ready_callable=lambda: _start_all(parts),
        server_name="vibex",
        websocket_handshake_timeout=HANDSHAKE_SECONDS,
    )
    leave_streams_time(server)
    spare_the_start()
    try:
        server.run()
    finally:
        in_order = _stop_all(parts)
    return bool(server.listening_addresses), in_order


def spare_the_start() -> None:
    """Let the collector of garbage pass over what was loaded by now: a full round over it stops all threads for tenths of a second."""
    gc.collect()
    gc.freeze()


def leave_streams_time(server: Any) -> None:
    """Let open streams say that the server goes down.

    daphne means to end them, but stumbles over the first connection that became one, and would not wait for their last word.
    """
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    def goodbye() -> Any:
        for details in list(server.connections.values()):
            if "application_instance" in details:
                details["application_instance"].cancel()
        return deferLater(reactor, GOODBYE_SECONDS)

    events: Any = reactor
    events.addSystemEventTrigger("before", "shutdown", goodbye)


def leave(code: int) -> NoReturn:
    """End at once, without waiting for threads that hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start_all(parts: Sequence[Part]) -> None:
    for part in parts:
        part.start()


def _stop_all(parts: Sequence[Part]) -> bool:
    """Stop everything; a second Ctrl-C or SIGTERM ends the process at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave(FORCED))
    in_order = [part.stop() is not False for part in reversed(parts)]
    connections.close_all()
    return all(in_order)
