"""The Celery app. The same tasks run inside the web process and in workers of their own."""

import os
import threading
from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging, worker_init
from django.conf import settings

from vibex.lib.alive import end_when_stuck
from vibex.workers import stand_back, steps_add

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")

app = Celery("vibex", task_cls="vibex.lib.tasks:CarryingTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
steps_add(app)
app.set_default()  # else a thread other than the one that imported this would send to a broker that does not exist


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Celery configures logging of its own unless somebody listens here; ours stands already."""


@worker_init.connect
def survive_the_loss_of_redis(**_: Any) -> None:
    """Only workers have tasks in hand, and only they have to load Redis for it, where there is one."""
    if settings.REDIS_URL:
        from vibex.broker import mend

        mend()


@celeryd_init.connect
@beat_init.connect
def end_what_hangs(sender: Any = None, **_: Any) -> None:
    """A worker or a beat that is a process of its own is started anew by whoever started it. Those in threads of `up` are not."""
    if threading.current_thread() is threading.main_thread():
        end_when_stuck(sender.partition("@")[0] if isinstance(sender, str) else "beat")


@celeryd_init.connect
def give_way(options: Mapping[str, Any], **_: Any) -> None:
    """What has time stands back: sums and backups wait where decisions want the processors."""
    stand_back(options.get("queues"))
