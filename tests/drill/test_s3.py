"""Backups in a bucket, against a server that others wrote (moto, in an environment of its own)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from urllib3.exceptions import ProtocolError

from conftest import missing
from tests.drill.house import destroyed, environment, manage, ran
from tests.drill.test_killed_backup import FILL, PEOPLE
from tests.oracles.environments import environment as machine
from tests.oracles.environments import newest_day, uv
from vibex.backup.s3 import PART_BYTES, Bucket
from vibex.lib.env import ROOT
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.tests.running import free_port

pytestmark = [pytest.mark.ci, pytest.mark.timeout(600)]
MOTO = "moto[server]>=5.1,<6"
PATIENCE = 240.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the S3 server with one bucket; return its address."""
    port, said = free_port(), tmp_path_factory.mktemp("s3") / "moto.txt"
    command = [uv(), "run", "--quiet", "--no-project", "--isolated", "--exclude-newer", newest_day(), "--python", sys.executable,
               "--with", MOTO, "moto_server", "-H", "127.0.0.1", "-p", str(port)]  # fmt: skip
    with said.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=machine(), stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + PATIENCE
        while not _answers(url):
            if process.poll() is not None:
                missing(f"{MOTO} from a package index ({said.read_text().strip().splitlines()[-1:]})")
            assert time.monotonic() < ends, said.read_text()
            time.sleep(0.3)
        urlopen(Request(f"{url}/books", method="PUT")).close()
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    with suppress(URLError, OSError), urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def bucket(server: str, prefix: str = "vibex") -> Bucket:
    return Bucket(f"{server}/books/{prefix}", access_key="key", secret_key="secret", region="us-east-1")


def test_what_is_streamed_in_parts_comes_back_and_only_below_the_prefix(server):
    here, file = bucket(server, "parts"), "vibex-abcd-20260101T000000Z.dump"
    content = bytes(range(256)) * (PART_BYTES // 256 + 4096)
    here.put(file, BytesIO(content))
    assert here.files() == {file: len(content)}
    assert bucket(server, "elsewhere").files() == {}
    with here.opened(file) as reader:
        assert reader.read() == content
    here.remove(file)
    assert here.files() == {}


def test_an_upload_that_breaks_is_not_seen(server):
    class Breaks(BytesIO):
        told = 0

        def read(self, wanted: int | None = -1, /) -> bytes:
            self.told += 1
            if self.told > 40:
                raise OSError(5, "the dump broke off")
            return b"x" * min(wanted or 0, 1 << 20)

    here = bucket(server, "breaks")
    with pytest.raises(OSError, match="broke off"):
        here.put("vibex-abcd-20260101T000000Z.dump", Breaks())
    assert here.files() == {}


def test_what_cannot_be_used_says_why(server):
    with pytest.raises(NeedsOperator, match="NoSuchBucket"):
        Bucket(f"{server}/nowhere/x", access_key="key", secret_key="secret", region=None).files()
    with (
        pytest.raises(Rejected, match="is not in s3://books/vibex/"),
        bucket(server).opened("vibex-abcd-20200101T000000Z.json"),
    ):
        pass
    with pytest.raises(NeedsOperator, match="BACKUP_S3_ACCESS_KEY"):
        Bucket(f"{server}/books", access_key=None, secret_key=None, region=None)
    with pytest.raises(NeedsOperator, match="names no bucket"):
        Bucket(server, access_key="key", secret_key="secret", region=None)


def test_a_storage_that_is_away_is_tried_again_later():
    away = Bucket(f"http://127.0.0.1:{free_port()}/books", access_key="key", secret_key="secret", region="us-east-1")
    with pytest.raises(Retryable, match="could not be reached"):
        away.files()


def test_a_download_that_breaks_off_is_tried_again_later(monkeypatch):
    class Broken:
        def get_object(self, *_: object) -> Broken:
            return self

        def read(self, *_: object) -> bytes:
            raise ProtocolError("Connection broken: IncompleteRead(7 bytes read, 9 more expected)")

        close = release_conn = lambda _: None

    here = Bucket("http://127.0.0.1:1/books", access_key="key", secret_key="secret", region="us-east-1")
    monkeypatch.setattr(here, "_client", Broken)
    with pytest.raises(Retryable, match="Connection broken"), here.opened("vibex-abcd-20260101T000000Z.dump") as reader:
        reader.read()


def test_an_installation_backs_up_to_a_bucket_and_comes_back_from_it(server, tmp_path: Path):
    env = environment(
        tmp_path,
        BACKUP_S3_URL=f"{server}/books/house",
        BACKUP_S3_ACCESS_KEY="key",
        BACKUP_S3_SECRET_KEY="very-secret",
        BACKUP_S3_REGION="us-east-1",
    )
    key = json.loads(manage(env, "backup", "--new-key", "--json"))["key"]
    env["BACKUP_KEY"] = key
    ran(env, "-c", FILL)
    before = ran(env, "-c", PEOPLE)
    said = manage(env, "backup")
    said += manage(env, "backup", "--verify")
    destroyed(env)
    said += manage(env, "restore", "latest", "--dry-run")
    said += manage(env, "restore", "latest", "--no-reconcile")
    assert ran(env, "-c", PEOPLE) == before
    assert "s3://books/house/" in said
    assert "very-secret" not in said
    assert key not in said
    assert not (tmp_path / "data" / "backups").exists(), "nothing is left on the machine"
    away = {**env, "BACKUP_S3_URL": f"http://127.0.0.1:{free_port()}/books"}
    assert "could not be reached" in manage(away, "backup", code=1)
