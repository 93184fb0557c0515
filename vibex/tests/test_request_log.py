"""One line per request; one request id for the request, its log lines, its errors and its tasks."""

import asyncio
import logging

import pytest
import structlog
from celery import current_app
from celery.contrib.testing.worker import start_worker
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import ResolverMatch

from vibex.celery import app
from vibex.lib.requests import HEADER, request_log, wanted_id


class Person:
    pk = 7
    is_authenticated = True


@pytest.fixture
def logged():
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("vibex.lib.requests")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.fixture
def request_():
    request = RequestFactory().get("/reset/a-token-in-the-path/")
    request.resolver_match = ResolverMatch(lambda: None, (), {}, route="reset/<token>/")
    return request


def test_a_request_is_one_line_with_method_route_status_time_and_user(logged, request_):
    request_.user = Person()
    request_log(lambda _: HttpResponse(status=201))(request_)
    [record] = logged
    assert (record.method, record.route, record.status, record.user) == ("GET", "reset/<token>/", 201, 7)
    assert record.ms >= 0
    assert "a-token-in-the-path" not in str(record.__dict__)


def test_a_failed_request_is_a_warning(logged, request_):
    request_log(lambda _: HttpResponse(status=500))(request_)
    assert logged[0].levelno == logging.WARNING


def test_nobody_is_logged_for_a_visitor_who_has_not_signed_in(logged, request_):
    request_.user = AnonymousUser()
    request_log(lambda _: HttpResponse())(request_)
    assert logged[0].user is None


@pytest.mark.django_db
def test_the_signed_in_user_is_known_without_a_query_of_the_log(logged, client, django_user_model):
    user = django_user_model.objects.create_superuser(email="a@example.com", password="x")
    client.force_login(user)
    client.get("/admin/")
    assert logged[-1].user == user.pk


def test_a_well_formed_request_id_is_kept_and_returned(request_):
    request_.META["HTTP_X_REQUEST_ID"] = "abc-123_DEF456"
    assert request_log(lambda _: HttpResponse())(request_).headers[HEADER] == "abc-123_DEF456"


@pytest.mark.parametrize(
    "bad", [None, "", "short", "a" * 49, "with space 12", "line\nbreak12", "<script>alert", "ünïcödé123"]
)
def test_any_other_request_id_is_replaced(bad):
    assert wanted_id(bad) is None


def test_every_line_of_a_request_carries_its_id(request_):
    seen = {}

    def view(_):
        seen.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    response = request_log(view)(request_)
    assert seen == {"request_id": response.headers[HEADER]}
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_two_requests_have_two_ids(request_):
    serve = request_log(lambda _: HttpResponse())
    assert serve(request_).headers[HEADER] != serve(request_).headers[HEADER]


def test_an_asynchronous_view_is_logged_the_same_way(logged, request_):
    async def view(_):
        await asyncio.sleep(0)
        return HttpResponse(status=204)

    response = asyncio.run(request_log(view)(request_))
    assert logged[0].status == 204
    assert response.headers[HEADER]


@pytest.fixture
def task_contexts():
    contexts: list[dict] = []

    @app.task(name="vibex.tests.remember_context")
    def remember_context():
        contexts.append(structlog.contextvars.get_contextvars())

    yield remember_context, contexts
    app.tasks.pop("vibex.tests.remember_context")


@pytest.mark.ci
def test_a_task_carries_on_the_request_id(task_contexts, request_):
    task, contexts = task_contexts

    def view(_):
        task.delay()
        return HttpResponse()

    with start_worker(current_app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        response = request_log(view)(request_)
        wait_for(contexts)
    assert contexts == [{"request_id": response.headers[HEADER], "task": "vibex.tests.remember_context"}]


@pytest.mark.ci
def test_a_task_that_nobody_asked_for_has_its_own_id(task_contexts):
    task, contexts = task_contexts
    with start_worker(current_app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        result = task.delay()
        wait_for(contexts)
    assert contexts[0]["request_id"] == result.id


def wait_for(found: list, seconds: float = 20.0) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not found and time.monotonic() < deadline:
        time.sleep(0.02)
