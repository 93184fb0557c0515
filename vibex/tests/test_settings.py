"""The settings of each environment, read by real processes."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from vibex.lib.env import ROOT
from vibex.lib.variables import VARIABLES, Features
from vibex.settings import start

PRODUCTION = {
    "VIBEX_ENV": "prod",
    "SECRET_KEY": "k3y-with-more-than-fifty-characters-that-nobody-else-knows",
    "CREDENTIALS_KEY": "bm9ib2R5IGVsc2Uga25vd3MgdGhpcyBzZWFsaW5nISE=",
    "ALLOWED_HOSTS": "vibex.example.com",
    "DATABASE_URL": "postgres://user:the-password@db:5432/vibex",
}


def run(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code with the given environment and nothing of the surrounding one but what a process needs."""
    clean = {"PATH": os.environ["PATH"], "VIBEX_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "vibex.settings"}
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env=clean | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def values(tmp_path: Path, *names: str, **environment: str) -> dict:
    shown = f"{{name: getattr(s, name) for name in {names}}}"
    done = run(
        f"import json; from django.conf import settings as s; print(json.dumps({shown}, default=str))",
        tmp_path,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_wrong_environment_ends_the_start_with_one_line_per_fault_and_no_traceback(tmp_path):
    done = run("from django.conf import settings; settings.DEBUG", tmp_path, API_PORT="many", INTERVAL="2m")
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["API_PORT", "INTERVAL"]


def test_manage_py_ends_the_same_way(tmp_path):
    environment = {"PATH": os.environ["PATH"], "VIBEX_DATA_DIR": str(tmp_path), "FEATURE_ENSEMBEL": "yes"}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, check=False, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_production_refuses_everything_at_once(tmp_path):
    done = run("from django.conf import settings; settings.DEBUG", tmp_path, VIBEX_ENV="prod", DEBUG="yes")
    assert done.returncode == 2
    told = {line.split(":")[0] for line in done.stderr.splitlines()}
    assert told == {"DEBUG", "SECRET_KEY", "CREDENTIALS_KEY", "ALLOWED_HOSTS", "DATABASE_URL"}


def test_production_is_for_https_behind_a_proxy(tmp_path):
    found = values(
        tmp_path,
        *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME"),
        *("SECURE_HSTS_SECONDS", "DEBUG", "API_DOCS"),
        **PRODUCTION,
    )
    assert found == {
        "SESSION_COOKIE_NAME": "__Host-vibex",
        "CSRF_COOKIE_NAME": "__Host-vibex-csrf",
        "API_DOCS": False,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "DEBUG": False,
    }


@pytest.mark.ci
def test_django_finds_nothing_to_warn_of_in_production(tmp_path):
    """The schema of the API is made on the way: it has to be without a warning too."""
    environment = {"PATH": os.environ["PATH"], "VIBEX_DATA_DIR": str(tmp_path), "LOG_FILES": "no"}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        command, check=False, env=environment | PRODUCTION, cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "ssl"),
    [
        ("smtp://mail.example.com", "mail.example.com", 25, False, False),
        ("smtp+tls://me:p%40ss@mail.example.com", "mail.example.com", 587, True, False),
        ("smtps://me:p%40ss@mail.example.com", "mail.example.com", 465, False, True),
        ("smtps://mail.example.com:1465", "mail.example.com", 1465, False, True),
    ],
)
def test_mail_goes_over_the_server_of_the_url(url, host, port, tls, ssl):
    mail = start.mail(url)
    assert (mail["EMAIL_HOST"], mail["EMAIL_PORT"]) == (host, port)
    assert (mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]) == (tls, ssl)
    assert mail["EMAIL_HOST_PASSWORD"] == ("p@ss" if "p%40ss" in url else "")


def test_without_a_server_mail_is_only_written_out():
    assert "console" in start.mail(None)["EMAIL_BACKEND"]


def test_pages_of_other_origins_may_call_the_api_only_where_they_are_named(client, settings):
    def allowed(path: str) -> str | None:
        answer = client.get(path, headers={"Origin": "https://desk.example.com"})
        return answer.headers.get("Access-Control-Allow-Origin")

    assert allowed("/api/v1/health/live/") is None
    settings.CORS_ALLOWED_ORIGINS = ["https://desk.example.com"]
    assert allowed("/api/v1/health/live/") == "https://desk.example.com"
    assert allowed("/sign-in/") is None
    answer = client.get("/api/v1/health/live/", headers={"Origin": "https://desk.example.com"})
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_browsers_are_told_to_use_no_device_and_to_embed_nothing_elsewhere(client):
    for path in ("/api/v1/health/live/", "/sign-in/", "/api/v1/nothing/"):
        headers = client.get(path).headers
        assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]


def test_no_file_is_ever_taken_and_what_was_sent_beside_it_is_read(rf):
    request = rf.post("/", {"before": "1", "file": SimpleUploadedFile("a.bin", bytes(300_000)), "name": "by-hand"})
    assert dict(request.POST.items()) == {"before": "1", "name": "by-hand"}
    assert not request.FILES


def test_postgres_comes_with_a_pool_and_no_persistent_connections(tmp_path):
    default = values(tmp_path, "DATABASES", **PRODUCTION)["DATABASES"]["default"]
    assert (default["ENGINE"], default["NAME"], default["HOST"]) == ("django.db.backends.postgresql", "vibex", "db")
    assert default["CONN_MAX_AGE"] == 0
    assert default["OPTIONS"]["pool"]["max_size"] >= 10


def test_redis_carries_tasks_and_cache(tmp_path):
    found = values(tmp_path, "CELERY_BROKER_URL", "CACHES", REDIS_URL="redis://localhost:6379/3")
    assert found["CELERY_BROKER_URL"] == "redis://localhost:6379/3"
    assert found["CACHES"]["default"]["LOCATION"] == "redis://localhost:6379/3"


def test_without_redis_everything_stays_in_the_process(tmp_path):
    found = values(tmp_path, "CELERY_BROKER_URL", "CACHES")
    assert found["CELERY_BROKER_URL"] == "memory://localhost/"
    assert found["CACHES"]["default"]["BACKEND"] == "django.core.cache.backends.locmem.LocMemCache"


@pytest.mark.ci
def test_sqlite_lies_in_the_data_folder_waits_for_its_lock_and_commits_for_good(tmp_path):
    code = (
        "import django; django.setup()\nfrom django.db import connection as c\n"
        "def pragma(name):\n"
        "    with c.cursor() as cursor: return cursor.execute(f'PRAGMA {name}').fetchone()[0]\n"
        "print([pragma(name) for name in ('journal_mode', 'synchronous', 'busy_timeout')])"
    )
    done = run(code, tmp_path)
    assert done.stdout.strip() == "['wal', 2, 20000]", done.stderr  # 2 is FULL
    assert (tmp_path / "vibex.sqlite3").exists()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_sqlite_transactions_take_the_write_lock_at_once():
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_the_secret_key_is_made_once_and_readable_by_its_owner_only(tmp_path):
    first = start.kept_secret_key(tmp_path / "data")
    assert start.kept_secret_key(tmp_path / "data") == first
    assert len(first) >= 50
    assert stat.S_IMODE((tmp_path / "data" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_the_sealing_key_is_made_once_and_readable_by_its_owner_only(tmp_path):
    first = start.kept_credentials_key(tmp_path)
    assert start.kept_credentials_key(tmp_path) == first
    Fernet(first)
    assert stat.S_IMODE((tmp_path / "credentials_key").stat().st_mode) == 0o600


def test_a_sealing_key_that_is_damaged_is_never_replaced(tmp_path):
    (tmp_path / "credentials_key").write_text("torn")
    done = run("from django.conf import settings; settings.DEBUG", tmp_path)
    assert done.returncode == 2
    assert "restore the file" in done.stderr
    assert (tmp_path / "credentials_key").read_text() == "torn"


def test_sealing_keys_are_those_of_the_environment_newest_first(tmp_path):
    keys = [Fernet.generate_key().decode(), Fernet.generate_key().decode()]
    assert values(tmp_path, "CREDENTIALS_KEYS", CREDENTIALS_KEY=", ".join(keys))["CREDENTIALS_KEYS"] == keys
    assert not (tmp_path / "credentials_key").exists()


def test_a_data_folder_that_cannot_be_used_is_a_fault_and_no_traceback(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run("from django.conf import settings; settings.DEBUG", tmp_path, VIBEX_DATA_DIR=str(blocked / "data"))
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["VIBEX_DATA_DIR"]


def test_every_variable_is_a_setting_of_the_same_name():
    assert [name for name in VARIABLES if not hasattr(settings, name)] == []


def test_features_are_off_until_switched_on(tmp_path):
    assert settings.FEATURES == Features(registration=False, live_trading=False, ensemble=False, external_text=False)
    on = values(tmp_path, "FEATURES", FEATURE_ENSEMBLE="yes")["FEATURES"]
    assert "ensemble=True" in on
    assert "live_trading=False" in on


def test_keys_of_a_developer_do_not_reach_the_tests(tmp_path):
    code = "from django.conf import settings as s; print(s.OPENROUTER_API_KEY, s.ACCOUNT_KEYS, s.VIBEX_ENV)"
    mine = {"OPENROUTER_API_KEY": "k", "ASTERDEX_API_KEY": "k", "ASTERDEX_API_SECRET": "s"}
    done = run(code, tmp_path, **mine, DJANGO_SETTINGS_MODULE="vibex.settings.testing")
    assert done.stdout.strip() == "None {} test", done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "openai",
        "apprise",
        "plotly",
        "pandas",
        "ccxt",
        "talib",
        "numpy",
        "psycopg",
        "redis",
        "hypothesis",
        "cryptography",
    ],
)
def test_settings_do_not_load_heavy_packages(tmp_path, module):
    done = run(f"import sys, vibex.settings; print({module!r} in sys.modules)", tmp_path)
    assert done.stdout.strip() == "False", done.stderr


def test_the_script_of_the_charts_is_served_from_its_package():
    assert finders.find("plotly/plotly.min.js")


@pytest.mark.django_db
def test_pages_carry_the_strict_content_security_policy(client):
    policy = client.get("/admin/login/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_passwords_are_hashed_with_argon2(tmp_path):
    assert values(tmp_path, "PASSWORD_HASHERS")["PASSWORD_HASHERS"][0].endswith("Argon2PasswordHasher")
