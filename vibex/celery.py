"""The Celery app. The same tasks run inside the web process and in workers of their own."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")

app = Celery("vibex")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
