"""The project as an app: it has no tables, only checks, commands and the task app."""

from importlib import import_module

from django.apps import AppConfig


class VibexConfig(AppConfig):
    name = "vibex"
    verbose_name = "Vibex"

    def ready(self) -> None:
        import_module("vibex.celery")  # shared tasks bind to the app that exists when they are first used
        import_module("vibex.checks")
