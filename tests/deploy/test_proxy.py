"""The proxy as it is configured, in front of a server that tells what reached it."""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deploy import tools
from tests.deploy.files import DEPLOY
from tests.oracles.environments import environment
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

PATIENCE = 30.0
HOST = "localhost"


class Told(BaseHTTPRequestHandler):
    """Answers with the headers of the request."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Proxy:
    port: int
    health: int

    def page(self, path: str) -> tuple[int, str, str]:
        """Return status, media type and text of what the proxy shows by itself."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
        finally:
            connection.close()

    def get(self, path: str, port: int | None = None, **headers: str) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(HOST, port or self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else {}
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def upstream(port: int = 0) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def proxy(folder: Path, *upstreams: int) -> Iterator[Proxy]:
    """Run Caddy with the file of the repository; only the two ports that are not variables are others."""
    port, health, admin = free_port(), free_port(), free_port()
    text = (DEPLOY / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    caddyfile = folder / "Caddyfile"
    caddyfile.write_text(text.replace(":2019", f":{admin}").replace(":2020", f":{health}"), encoding="utf-8")
    given = environment(
        PUBLIC_URL=f"http://{HOST}:{port}",
        HANDBOOK=str(ROOT / "docs"),
        UPSTREAMS=" ".join(f"127.0.0.1:{one}" for one in upstreams),
        XDG_DATA_HOME=str(folder),
        XDG_CONFIG_HOME=str(folder),
    )
    words = [tools.located(tools.CADDY), "run", "--config", str(caddyfile), "--adapter", "caddyfile"]
    with (folder / "log").open("w", encoding="utf-8") as log:
        running = subprocess.Popen(words, env=given, stdout=log, stderr=log)
    try:
        there = Proxy(port, health)
        _wait_for(there, running, folder / "log")
        yield there
    finally:
        running.terminate()
        running.wait(PATIENCE)


def _wait_for(there: Proxy, running: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while running.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError):
            there.get("/healthy", there.health)
            return
        time.sleep(0.05)
    pytest.fail(f"Caddy did not come up: {log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with upstream() as port, proxy(tmp_path_factory.mktemp("caddy"), port) as there:
        yield there


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy behind which nobody answers."""
    with proxy(tmp_path_factory.mktemp("alone"), free_port()) as there:
        yield there


def test_the_health_check_is_answered_by_the_proxy_itself(behind: Proxy) -> None:
    assert behind.get("/healthy", behind.health)[0] == 200


def test_what_is_behind_is_told_the_scheme_and_the_host(behind: Proxy) -> None:
    status, told = behind.get("/")
    assert status == 200
    assert told["x-forwarded-proto"] == "http"
    assert told["host"] == f"{HOST}:{behind.port}"


def test_nobody_can_say_that_he_comes_from_elsewhere(behind: Proxy) -> None:
    _, told = behind.get("/", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
    assert "203.0.113.9" not in told["x-forwarded-for"]
    assert told["x-forwarded-for"] in ("127.0.0.1", "::1")
    assert told["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=up"])
def test_figures_are_not_shown_to_the_world(path: str, behind: Proxy) -> None:
    assert behind.get(path)[0] == 404


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "runbooks").glob("vibex-*.md")), ids=lambda page: page.stem)
def test_what_an_alert_links_to_is_shown_also_while_nothing_answers(page: Path, alone: Proxy) -> None:
    status, kind, text = alone.page(f"/handbook/runbooks/{page.name}")
    title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    assert (status, kind) == (200, "text/html")
    assert title in html.unescape(re.sub("<[^>]+>", "", text))
    assert "<h2 id=" in text


def test_the_handbook_leads_to_its_other_pages_and_nowhere_else(alone: Proxy) -> None:
    text = alone.page("/handbook/runbooks/vibex-down.md")[2]
    assert '<a href="../processes.md">' in text
    assert alone.page("/handbook/processes.md")[0] == 200
    assert alone.page("/handbook/runbooks/no-such.md")[0] == 404
    assert alone.page("/handbook/")[0] == 404
    # Out of the folder leads nothing: these are addresses of Vibex, which does not answer here.
    assert alone.page("/handbook/../pyproject.toml")[0] == 502
    assert alone.page("/handbook/%2e%2e/README.md")[0] == 502
    assert alone.page("/handbook/..%2fREADME.md")[0] in (404, 502)


def test_a_server_that_is_started_anew_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with proxy(tmp_path, port) as there:
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(there.get("/")[0]))
        asking.start()
        with upstream(port):
            asking.join(PATIENCE)
    assert answers == [200]


def test_of_two_servers_the_one_that_answers_is_asked(tmp_path: Path) -> None:
    with upstream() as port, proxy(tmp_path, free_port(), port) as there:
        assert {there.get("/")[0] for _ in range(10)} == {200}
