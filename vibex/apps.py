"""The project as an app: it has no tables, only checks, commands and the task app."""

import os
import sys
from importlib import import_module

from django.apps import AppConfig

from vibex import telemetry
from vibex.lib.connections import forget_after_fork
from vibex.lib.logging import log_uncaught, serves


class VibexConfig(AppConfig):
    name = "vibex"
    verbose_name = "Vibex"

    def ready(self) -> None:
        import_module("vibex.celery")  # shared tasks bind to the app that exists when they are first used
        import_module("vibex.checks")
        os.register_at_fork(after_in_child=forget_after_fork)
        if serves(sys.argv):
            log_uncaught()
        if telemetry.wanted(sys.argv):
            telemetry.begin(sys.argv)
