"""Backups and restores by their commands: what they prove, what they refuse, and that nothing secret is told."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import threading
import time
from contextlib import closing, nullcontext
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import Alert, Backup, Incident
from tests.support.demo import demo, person
from trading.models import Lock
from trading.services.restored import accounts_restored, restored_bar, restored_lift
from trading.services.standing import lock_lift
from vibex.backup import last_success, making, sealing
from vibex.backup.domain.manifest import Figures, differences, manifest_read
from vibex.backup.making import backup_is_due, backup_make
from vibex.backup.restoring import backup_verify, restore_plan
from vibex.backup.sqlite import SqliteEngine
from vibex.backup.storage import Folder, leftovers, names_in
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.lib.installation import installation_tag
from vibex.tasks import backup_hourly

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]


@pytest.fixture
def folder(settings, tmp_path: Path, monkeypatch) -> Path:
    """Return the folder of backups of an installation with a little history in its database."""
    settings.VIBEX_DATA_DIR, settings.BACKUP_DIR = tmp_path, tmp_path / "backups"
    settings.BACKUP_KEY, settings.BACKUP_RECIPIENT, settings.BACKUP_S3_URL = None, (), None
    demo()
    if connection.vendor == "sqlite":  # the suite's lies in memory
        file = tmp_path / "vibex.sqlite3"
        with closing(sqlite3.connect(file)) as copy:
            connection.ensure_connection()
            connection.connection.backup(copy)
        monkeypatch.setattr(SqliteEngine, "_file", property(lambda _: file))
    return settings.BACKUP_DIR


def said(*command: str, **options: object) -> str:
    from io import StringIO

    out = StringIO()
    call_command(*command, stdout=out, **options)
    return out.getvalue()


def keys(settings) -> str:
    key, public = sealing.key_new()
    settings.BACKUP_KEY = key
    return public


def data_of(folder: Path) -> Path:
    (file,) = [each for each in folder.iterdir() if each.suffix != ".json"]
    return file


def test_a_backup_is_made_listed_and_proved(folder):
    made = backup_make().manifest
    assert made.name in said("backup", "--list")
    assert f"{made.name}: well" in said("backup", "--verify")
    assert made.tables["trading_fill"].rows > 0
    assert set(made.tables["trading_fill"].sums) >= {"quantity", "price", "fee", "realised"}
    row = Backup.objects.get()
    assert (row.name, row.well, row.bytes) == (made.name, True, made.size)
    assert row.verified
    assert last_success() == made.at
    assert {oct(each.stat().st_mode & 0o777) for each in folder.iterdir()} == {"0o600"}


def test_an_encrypted_backup_tells_no_figure_and_opens_with_its_key_only(folder, settings):
    public = keys(settings)
    made = backup_make().manifest
    raw = (folder / f"{made.name}.json").read_text()
    assert "trading_fill" not in raw
    assert data_of(folder).read_bytes().startswith(b"age-encryption.org/v1\n")
    assert b"operator@vibex.local" not in data_of(folder).read_bytes()
    backup_verify("latest")
    settings.BACKUP_KEY = sealing.key_new()[0]
    with pytest.raises(NeedsOperator, match="another key"):
        backup_verify("latest")
    settings.BACKUP_KEY = None
    with pytest.raises(NeedsOperator, match="BACKUP_KEY"):
        backup_verify("latest")
    settings.BACKUP_RECIPIENT = (public,)
    assert backup_make().manifest.recipients == (public,), "the public half alone is enough to make one"


def test_an_installation_that_holds_the_public_half_makes_what_the_secret_one_opens(folder, settings):
    key, public = sealing.key_new()
    settings.BACKUP_RECIPIENT = (public,)
    backup_make()
    settings.BACKUP_KEY = key
    backup_verify("latest")


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_one_changed_byte_is_found(folder, settings, encrypted, where):
    if encrypted:
        keys(settings)
    backup_make()
    file = data_of(folder)
    raw = bytearray(file.read_bytes())
    raw[where if isinstance(where, int) else int(len(raw) * where)] ^= 1
    file.write_bytes(raw)
    for look in (lambda: backup_verify("latest"), lambda: said("restore", "latest", dry_run=True)):
        with pytest.raises((Rejected, CommandError), match="was changed"):
            look()


def test_one_that_was_cut_off_or_lost_its_file_is_refused(folder):
    backup_make()
    file = data_of(folder)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Rejected, match="bytes long instead of"):
        restore_plan("latest")
    file.unlink()
    with pytest.raises(Rejected, match="missing"):
        restore_plan("latest")


def test_figures_that_differ_are_named(folder):
    made = backup_make().manifest
    manifest = folder / f"{made.name}.json"
    told = json.loads(manifest.read_text())
    told["tables"]["trading_fill"]["rows"] += 1
    told["tables"]["trading_fill"]["sums"]["fee"] = "1"
    manifest.write_text(json.dumps(told))
    with pytest.raises(Rejected, match=r"trading_fill: \d+ rows, \d+ were backed up; trading_fill.fee"):
        backup_verify("latest")


def test_a_backup_of_a_newer_version_is_refused_and_an_older_one_is_migrated(folder):
    made = backup_make().manifest
    manifest = folder / f"{made.name}.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "migrations": [*told["migrations"], "trading.9999_to_come"]}))
    assert any("newer version" in each for each in restore_plan("latest").refusals)
    manifest.write_text(json.dumps({**told, "migrations": told["migrations"][:-2]}))
    plan = restore_plan("latest")
    assert any("2 migrations will be applied" in each for each in plan.notes)


def test_a_backup_of_the_other_database_is_refused(folder):
    made = backup_make().manifest
    manifest = folder / f"{made.name}.json"
    told = json.loads(manifest.read_text())
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[told["database"]]
    manifest.write_text(json.dumps({**told, "database": other}))
    assert any(f"backup of {other}" in each for each in restore_plan("latest").refusals)
    with pytest.raises(Rejected, match=f"backup of {other}"):
        backup_verify("latest")


def test_what_holds_something_is_replaced_only_when_its_name_was_typed(folder, monkeypatch):
    backup_make()
    for engine in ("vibex.backup.sqlite.SqliteEngine", "vibex.backup.postgres.PostgresEngine"):
        monkeypatch.setattr(f"{engine}.users", lambda _: [])
    with pytest.raises(CommandError, match="say --overwrite"):
        call_command("restore", "latest")
    with pytest.raises(CommandError, match="nothing was done"):
        call_command("restore", "latest", overwrite=True, confirm="something else")


def test_the_latest_is_ours_where_others_keep_theirs_too(folder):
    made = backup_make().manifest
    theirs = made.name.replace(installation_tag(), "zzzz")[:-16] + "20990101T000000Z"
    other = made.model_copy(update={"name": theirs, "file": made.file.replace(made.name, theirs)})
    (folder / other.file).write_bytes((folder / made.file).read_bytes())
    (folder / f"{theirs}.json").write_bytes(other.written())
    assert restore_plan("latest").manifest.name == made.name
    assert any("another SECRET_KEY" in note for note in restore_plan(theirs).notes)
    for file in folder.glob(f"{made.name}*"):
        file.unlink()
    assert restore_plan("latest").manifest.name == theirs


def test_a_plan_says_where_the_database_lies(folder, tmp_path):
    backup_make()
    shown = said("restore", "latest", dry_run=True) if connection.vendor == "sqlite" else restore_plan("latest").where
    where = f"in {tmp_path}" if connection.vendor == "sqlite" else f"on {connection.settings_dict['HOST']}"
    assert where in shown


def test_nothing_starts_on_the_file_that_is_put_aside(folder, tmp_path):
    from vibex.serve import only_process

    with SqliteEngine().scratch() as scratch:
        (tmp_path / Path(scratch.name).name).write_bytes(b"")
        with only_process(tmp_path), pytest.raises(Rejected, match="already running"):
            scratch.take_place(keep_as="before")
    assert not list(tmp_path.glob("*before*"))


def test_a_database_in_use_is_not_replaced(folder, monkeypatch):
    for engine in ("vibex.backup.sqlite.SqliteEngine", "vibex.backup.postgres.PostgresEngine"):
        monkeypatch.setattr(f"{engine}.users", lambda _: ["vibex pages (2)"])
    backup_make()
    with pytest.raises(CommandError, match=r"in use by vibex pages \(2\)"):
        call_command("restore", "latest", overwrite=True, confirm="any")


def test_two_at_once_are_impossible(folder):
    engine = making.engine_chosen()
    with engine.only_one(), pytest.raises(Rejected, match="at work"):
        backup_make()
    assert Backup.objects.count() == 0
    assert not Incident.objects.filter(kind="backup-failed").exists(), "the other one is on its way"
    backup_make()


def test_a_full_disk_is_told_and_leaves_nothing(folder, monkeypatch):
    person("staff@example.com", is_staff=True)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr("vibex.backup.storage.shutil.copyfileobj", full)
        if connection.vendor == "sqlite":
            patch.setattr("vibex.backup.sqlite.shutil", shutil)
        with pytest.raises(Rejected, match="the disk is full"):
            backup_make()
    assert not folder.exists() or not list(folder.iterdir())
    assert not Backup.objects.get().well
    assert Incident.objects.get(kind="backup-failed", resolved=None).text.startswith("No backup could be made")
    assert Alert.objects.filter(user__email="staff@example.com").exists()
    assert last_success() is None
    backup_make()
    assert not Incident.objects.filter(kind="backup-failed", resolved=None).exists(), "the next one ends it"


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (sqlite3.OperationalError("database or disk is full"), Rejected),
        (RuntimeError("a fault that nobody thought of"), RuntimeError),
    ],
)
def test_whatever_keeps_one_from_being_made_is_told(folder, monkeypatch, fault, raised):
    person("staff@example.com", is_staff=True)

    def breaks(*_: object) -> None:
        raise fault

    monkeypatch.setattr("vibex.backup.making.Counted", breaks)
    with pytest.raises(raised, match=str(fault)):
        backup_make()
    assert str(fault) in Incident.objects.get(kind="backup-failed", resolved=None).text
    assert str(fault) in Backup.objects.get(well=False).problem
    assert Alert.objects.filter(user__email="staff@example.com").exists()
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.postgres
def test_a_server_that_is_away_is_told(folder, monkeypatch):
    from vibex.backup import postgres

    monkeypatch.setattr(postgres, "_settings", lambda: ({"host": "127.0.0.1", "port": 1}, {}))
    with pytest.raises(Retryable, match="cannot be reached"):
        backup_make()
    assert Incident.objects.filter(kind="backup-failed").exists()


@pytest.mark.postgres
def test_the_servers_own_workers_do_not_use_a_database():
    """Autovacuum and TimescaleDB's scheduler are connected to it, and make way for a rename."""
    from vibex.backup.postgres import PostgresEngine, _connect

    engine, asked = PostgresEngine(), "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'"
    with _connect(engine.target()) as busy, _connect(engine.target()) as other:
        busy.execute("SET application_name = 'busy'")
        busy.execute(
            "SELECT set_config(name, 'on', false) FROM pg_settings"
            " WHERE name IN ('force_parallel_mode', 'debug_parallel_query')"
        )
        working = threading.Thread(target=busy.execute, args=["SELECT count(pg_sleep(2)) FROM generate_series(1, 1)"])
        working.start()
        until = time.monotonic() + 2
        while not other.execute(asked).fetchone()[0]:
            assert time.monotonic() < until, "a worker of the server began"
        assert "busy (1)" in engine.users()
        working.join()


@pytest.mark.postgres
def test_what_a_killed_one_left_goes_and_what_another_database_has_at_work_stays():
    from vibex.backup.postgres import MAINTENANCE, PostgresEngine, _connect, marked

    engine = PostgresEngine()
    left, theirs = (f"{marked(name)}_scratch_0123abcd" for name in (engine.target(), f"{engine.target()}_two"))
    with _connect(MAINTENANCE) as session:
        for name in (left, theirs):
            session.execute(f'CREATE DATABASE "{name}"')
        try:
            with engine.only_one():
                found = session.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", [[left, theirs]])
                assert found.fetchall() == [(theirs,)]
        finally:
            for name in (left, theirs):
                session.execute(f'DROP DATABASE IF EXISTS "{name}"')


def test_databases_with_long_names_that_begin_alike_have_scratch_databases_of_their_own():
    from vibex.backup.postgres import marked

    one, two = (marked(f"{'trading' * 7}_{name}") for name in ("live", "test"))
    assert one != two
    for name in ("trading_db", "trading" * 9, "ü" * 31):
        assert len(f"{marked(name)}_scratch_0123abcd".encode()) <= 63, "PostgreSQL cuts off what is longer"


@pytest.mark.postgres
def test_tables_in_a_schema_that_a_scratch_database_does_not_look_at_are_refused(folder, monkeypatch):
    from vibex.backup.postgres import MAINTENANCE, PostgresEngine, _connect

    engine, told = PostgresEngine(), dict(connection.settings_dict["OPTIONS"])
    for path, refused in (("public", False), (r'"$user",\ public', False), (r"trading,\ public", True)):
        with monkeypatch.context() as patch:
            patch.setitem(connection.settings_dict, "OPTIONS", {**told, "options": f"-c jit=off -c search_path={path}"})
            expected = pytest.raises(NeedsOperator, match="looked for in trading") if refused else nullcontext()
            with expected, engine.only_one():
                pass
    with _connect(MAINTENANCE) as session:
        session.execute(f'ALTER DATABASE "{engine.target()}" SET search_path = trading, public')
        try:
            with pytest.raises(NeedsOperator, match="looked for in trading"):
                backup_make()
        finally:
            session.execute(f'ALTER DATABASE "{engine.target()}" RESET search_path')
    assert "search_path" in Incident.objects.get(kind="backup-failed", resolved=None).text
    backup_make()


@pytest.mark.postgres
def test_without_the_tools_of_postgresql_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NeedsOperator, match="postgresql-client"):
        backup_make()
    assert Incident.objects.filter(kind="backup-failed").exists()


def test_the_schedule_makes_one_an_hour(folder, settings):
    settings.BACKUP_HOURLY = True
    backup_hourly()
    backup_hourly()
    assert Backup.objects.filter(well=True).count() == 1
    Backup.objects.update(at=timezone.now() - timedelta(minutes=61))
    assert backup_is_due()
    settings.BACKUP_HOURLY = False
    backup_hourly()
    assert Backup.objects.count() == 1


def test_old_ones_go_and_foreign_files_stay(folder):
    folder.mkdir(parents=True)
    tag, now = installation_tag(), timezone.now()
    old = [f"vibex-{tag}-{now - timedelta(days=day):%Y%m%dT%H%M%SZ}" for day in range(1, 120)]
    for name in old:
        (folder / f"{name}.json").write_text("{}")
        (folder / f"{name}.dump").write_text("x")
    kept = ["notes.txt", "vibex-zzzz-20200101T000000Z.json", "vibex.sqlite3"]
    for name in kept:
        (folder / name).write_text("x")
    left = folder / f"vibex-{tag}-{now - timedelta(days=2):%Y%m%dT000001Z}.dump"
    left.write_text("what a killed upload left")
    backup_make()
    there = {each.name for each in folder.iterdir()}
    assert set(kept) <= there
    assert left.name not in there
    ours = names_in(dict.fromkeys(there, 0))
    assert 20 < len([each for each in ours if each.tag == tag]) <= 46


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (NeedsOperator("s3://books/ refuses (AccessDenied): check what its keys may do."), "AccessDenied"),
        (RuntimeError("a fault that nobody thought of"), "RuntimeError"),
    ],
)
def test_a_place_that_lets_nothing_be_removed_has_a_backup_all_the_same(folder, monkeypatch, fault, told):
    def refuses(*_: object) -> None:
        raise fault

    person("staff@example.com", is_staff=True)
    Incident.objects.create(kind="backup-failed", text="of the last hour")
    folder.mkdir(parents=True)
    for hours in (100, 200):
        left = folder / f"vibex-{installation_tag()}-{timezone.now() - timedelta(hours=hours):%Y%m%dT%H%M%SZ}.dump"
        left.write_text("what a killed upload left")
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "remove", refuses)
        made = backup_make()
        assert told in made.unthinned
        assert made.removed == ()
        assert last_success() == made.manifest.at
        assert told in Incident.objects.get(kind="backups-not-removed", resolved=None).text
        assert not Incident.objects.filter(kind="backup-failed", resolved=None).exists(), "there is a backup"
        assert Alert.objects.filter(user__email="staff@example.com").exists()
        assert "could NOT be removed" in said("backup")
    assert "removed vibex-" in said("backup")
    assert not Incident.objects.filter(kind="backups-not-removed", resolved=None).exists(), (
        "the next time that they go ends it"
    )
    assert not Backup.objects.filter(well=False).exists()


def test_a_manifest_that_is_none_is_refused_and_passed_over(folder):
    made = backup_make().manifest
    broken = made.name.replace("vibex-", "vibex-")[:-16] + "20300101T000000Z.json"
    (folder / broken).write_text("not json")
    assert said("backup", "--list").count("vibex-") >= 1
    with pytest.raises(Rejected, match="no manifest"):
        manifest_read(b"not json", broken)
    with pytest.raises(Rejected, match="another backup"):
        manifest_read(made.written(), broken)
    with pytest.raises(Rejected, match="another backup"):
        manifest_read(made.model_copy(update={"file": "../../etc/passwd"}).written(), f"{made.name}.json")


def test_differences_are_told_of_tables_that_are_missing():
    one, two = {"a": Figures(rows=1)}, {"b": Figures(rows=1)}
    assert list(differences(one, two)) == ["a: missing", "b: not in the manifest"]


def test_a_put_that_breaks_leaves_nothing(tmp_path):
    class Breaks(BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "gone")

    with pytest.raises(OSError, match="gone"):
        Folder(tmp_path).put("vibex-abcd-20260101T000000Z.dump", Breaks())
    assert list(tmp_path.iterdir()) == []


def test_files_without_a_manifest_are_leftovers_after_a_while():
    now = timezone.now()
    names = [f"vibex-abcd-{now - timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in (0, 2)]
    files = dict.fromkeys([f"{name}.dump" for name in names], 1)
    assert leftovers(files, tag="abcd", before=now - timedelta(days=1)) == [f"{names[1]}.dump"]
    assert leftovers({**files, f"{names[1]}.json": 1}, tag="abcd", before=now - timedelta(days=1)) == []


def test_a_restore_bars_every_account_until_a_clean_reconcile(folder):
    made = demo("second@example.com", name="second", feed=False)
    now = timezone.now()
    assert restored_bar(name="vibex-abcd-20260101T000000Z", at=now) == 2
    assert len(accounts_restored()) == 2
    lock = Lock.objects.get(account=made.account, kind="restored")
    with pytest.raises(Rejected, match="ends by itself"):
        lock_lift(lock=lock, actor=made.user)
    # Restored once more, from an older one that held these locks: it reaches back as far as the first did.
    assert restored_bar(name="vibex-abcd-20260101T010000Z", at=now + timedelta(hours=1)) == 2
    assert {lock.data["since"] for lock in Lock.objects.filter(kind="restored", lifted=None)} == {now.isoformat()}
    assert restored_lift(account=made.account)
    assert not restored_lift(account=made.account)
    assert made.account.pk not in accounts_restored()


def test_bots_are_paused_when_that_was_asked_for(folder):
    restored_bar(name="vibex-abcd-20260101T000000Z", at=timezone.now(), pause_bots=True)
    from accounts.models import Bot

    assert set(Bot.objects.values_list("status", flat=True)) == {"paused"}


def test_a_new_key_is_one_that_the_settings_take(folder):
    from vibex.lib.parsers import age_identity, age_recipients

    made = json.loads(said("backup", "--new-key", "--json"))
    assert age_identity(f"# created\n# public key: {made['recipient']}\n{made['key']}\n") == made["key"]
    assert age_recipients(made["recipient"]) == (made["recipient"],)
    with pytest.raises(ValueError, match="one key"):
        age_identity("AGE-SECRET-KEY-1SHORT")
    with pytest.raises(ValueError, match="age1"):
        age_recipients("ssh-ed25519 AAAA")
