"""A process that is watched: it breaks in a request and in a task, calls a server, and has secrets everywhere meanwhile.

Started by test_telemetry.py with `errors`, `traces` or `nothing`; secrets come in the environment.
"""

import asyncio
import logging
import os
import sys
from types import ModuleType

WHAT = sys.argv[1]
sys.argv = ["manage.py", "up"]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")

import django  # noqa: E402

django.setup()
if WHAT == "nothing":
    loaded = [
        name for name in sys.modules if name.partition(".")[0] in ("sentry_sdk", "opentelemetry", "prometheus_client")
    ]
    sys.stdout.write(str(loaded))
    raise SystemExit

from celery import shared_task  # noqa: E402
from django.contrib.auth.decorators import login_not_required  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from vibex.lib import spans  # noqa: E402

SECRET, TOKEN, LOCAL = (os.environ[name] for name in ("LLM_API_KEY", "A_TOKEN", "A_LOCAL"))


@csrf_exempt
@login_not_required
def breaks(request):
    password = LOCAL
    logging.getLogger("vibex").info("asking with api_key=%s", TOKEN)
    raise ValueError(f"the server refused {SECRET}; {len(password)}")


@csrf_exempt
@login_not_required
def works(request):
    import httpx2

    with spans.span("cycle", account=7, bot=3):
        for step in ("snapshot", "ask", "execute"):
            spans.step(step)
            if step == "ask":
                httpx2.get(
                    f"{os.environ['OTEL_EXPORTER_OTLP_ENDPOINT']}/models?ticket={TOKEN}", headers={"x-api-key": SECRET}
                )
        spans.note(status="done")
    spans.step("outside")
    return HttpResponse("ok")


@shared_task
def task_breaks(given):
    raise RuntimeError(f"token={TOKEN}")


routes = ModuleType("routes")
routes.urlpatterns = [path("api/breaks/", breaks), path("api/works/", works)]
sys.modules["routes"] = routes
from django.conf import settings  # noqa: E402

settings.ROOT_URLCONF = "routes"
settings.ALLOWED_HOSTS = ["testserver"]


async def ask(address: str, query: str) -> None:
    """Ask as the server does: over ASGI, with secrets in header, cookie, query and body."""
    headers = {"host": "testserver", "authorization": f"Bearer {TOKEN}", "x-api-key": SECRET, "cookie": f"sessionid={LOCAL}",
               "content-type": "application/json"}  # fmt: skip
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": address,
        "query_string": query.encode(), "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("testserver", 80), "client": ("10.0.0.7", 5),
    }  # fmt: skip
    body = {"type": "http.request", "body": f'{{"password": "{LOCAL}"}}'.encode(), "more_body": False}
    said = [body]

    async def receive():
        return said.pop() if said else await asyncio.sleep(60)

    async def send(_):
        pass

    await get_asgi_application()(scope, receive, send)


asyncio.run(ask(f"/api/{'breaks' if WHAT == 'errors' else 'works'}/", f"ticket={TOKEN}"))
task_breaks.apply(args=(LOCAL,))
logging.getLogger("vibex").error("key %s was refused", SECRET)
if WHAT == "errors":
    import sentry_sdk

    sentry_sdk.flush(10)
else:
    from opentelemetry import trace

    trace.get_tracer_provider().force_flush()
