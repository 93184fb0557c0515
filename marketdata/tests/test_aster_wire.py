"""Connections to AsterDEX: shared by all who ask the same address, as many as threads, and none that anybody waits for."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from marketdata.aster.http import AsterHttp
from marketdata.aster.wire import KEPT, HttpWire
from marketdata.services.budget import Unmetered
from marketdata.venues.public import Purpose

THREADS = 120
"""More than the 100 connections that the library would allow."""


class Venue(ThreadingHTTPServer):
    """Answers everything with the number of its connection; holds what it is asked under /slow until it is let go."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.opened, self.lock = 0, threading.Lock()
        self.slow, self.go_on = threading.Semaphore(0), threading.Event()
        self.asked, self.cookies = [], []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Venue

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.opened += 1
            self.number = self.server.opened

    def do_GET(self):
        self.server.cookies.append(self.headers.get("Cookie"))
        if self.path == "/slow":
            self.server.slow.release()
            self.server.go_on.wait(20)
        body = str(self.number).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "whose=mine; Path=/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def venue():
    server = Venue()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


def clients(venue, number):
    """Return so many accounts' clients on one wire."""
    wire = HttpWire(venue.url)
    return [AsterHttp(venue.url, Unmetered(), Purpose.FEED, attempts=1, wire=wire) for _ in range(number)]


def asked(http, path="/quick"):
    return http.get(path, weight=1)


def test_many_accounts_share_a_connection_and_another_one_for_what_must_not_wait(venue):
    accounts = clients(venue, 30)
    assert {asked(one) for one in accounts} == {1}
    assert {asked(one.urgent()) for one in accounts} == {2}
    assert venue.opened == 2
    accounts[0].close()


def test_nobody_waits_for_a_connection_that_somebody_else_holds(venue):
    accounts = clients(venue, THREADS)
    answers, lock = [], threading.Lock()

    def ask(http):
        answer = asked(http, "/slow")
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=ask, args=(one,)) for one in accounts]
    for one in threads:
        one.start()
    assert all(venue.slow.acquire(timeout=20) for _ in range(THREADS)), "each has a connection of its own"
    asked(accounts[0])
    asked(accounts[1].urgent())
    assert answers == []
    venue.go_on.set()
    for one in threads:
        one.join(20)
    assert len(set(answers)) == THREADS
    before = venue.opened
    assert len({asked(one) for one in accounts}) <= KEPT
    assert venue.opened == before, "some were kept"
    for one in accounts[:2]:
        one.close()


def test_what_the_venue_tells_one_account_is_not_told_to_it_by_another(venue):
    first, second = clients(venue, 2)
    for one in (first, first, second):
        asked(one)
    assert venue.cookies == [None] * 3
    first.close()


def test_closed_connections_are_opened_again(venue):
    wire = HttpWire(venue.url)
    assert wire.another() is wire.another()
    http = AsterHttp(venue.url, Unmetered(), Purpose.FEED, attempts=1, wire=wire)
    assert asked(http) == 1
    http.close()
    assert asked(http) == 2
    http.close()
