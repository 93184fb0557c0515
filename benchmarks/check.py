"""`manage.py check` against a bare project with the same installed apps: what our own code costs at every command."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from benchmarks import house
from benchmarks.report import Table, against
from benchmarks.timing import in_turns, of_children
from vibex.lib.env import ROOT

LIMIT = 1.3
ROUNDS = 11
OURS = ("vibex", "accounts", "marketdata", "decisions", "trading")
PROCESSORS = [
    f"django.{name}"
    for name in (
        "template.context_processors.request",
        "contrib.auth.context_processors.auth",
        "contrib.messages.context_processors.messages",
    )
]

SETTINGS = """
SECRET_KEY = "bare"
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = {apps!r}
MIDDLEWARE = {middleware!r}
ROOT_URLCONF = "bare.urls"
ASGI_APPLICATION = "bare.asgi.application"
TEMPLATES = {templates!r}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
STATIC_URL = "static/"
USE_TZ = True
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "bare.settings"
execute_from_command_line(sys.argv)
"""
ASGI = """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""


def measure() -> list[Table]:
    with house.folder() as home:
        apps = _bare_project(home)
        ours = partial(_check, ROOT, house.environment(home))
        bare = partial(_check, home, {**house.environment(home), "DJANGO_SETTINGS_MODULE": "bare.settings"})
        for warm in (ours, bare):
            warm()  # the first run writes byte code
        found = in_turns({"bare": bare, "Vibex": ours}, rounds=ROUNDS, clock=of_children)
    ratio = found["Vibex"] / found["bare"]
    row = (f"{found['bare']:.2f} s", f"{found['Vibex']:.2f} s", f"{ratio:.2f}", against(ratio, LIMIT))
    note = (
        f"Processor time of the whole process, in turns, median of {ROUNDS} runs each. The bare project has the same "
        f"{len(apps)} apps of others and the same middleware of others, and routes to the admin only."
    )
    return [Table("manage.py check", ("bare project", "Vibex", "ratio", f"≤ {LIMIT}"), (row,), (note,))]


def _bare_project(home: Path) -> list[str]:
    from django.conf import settings

    apps = ["django.contrib.admin", *(app for app in settings.INSTALLED_APPS if app.partition(".")[0] not in OURS)]
    middleware = [entry for entry in settings.MIDDLEWARE if entry.partition(".")[0] not in OURS]
    options = {"context_processors": PROCESSORS}
    backend = "django.template.backends.django.DjangoTemplates"
    templates = [{"BACKEND": backend, "APP_DIRS": True, "OPTIONS": options}]
    package = home / "bare"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "urls.py").write_text(URLS)
    (package / "asgi.py").write_text(ASGI)
    (package / "settings.py").write_text(SETTINGS.format(apps=apps, middleware=middleware, templates=templates))
    (home / "manage.py").write_text(MANAGE)
    return apps


def _check(project: Path, environment: dict[str, str]) -> None:
    subprocess.run(house.python("manage.py", "check"), cwd=project, env=environment, check=True, capture_output=True)
