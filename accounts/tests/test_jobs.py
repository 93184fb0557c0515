"""Jobs: kept from before they begin, ended once, found lost when their process dies, and one's own alone."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from accounts.models import AuditEntry, Job, User
from accounts.services import jobs
from accounts.services.audit import audit_write
from accounts.services.jobs import JobWork, job_begin, job_cancel, job_wait, jobs_drain, jobs_sweep
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.lib.requests import request_log


def apart(test):
    """Mark a test with threads: what they write is committed, and a database in memory locks whole tables for it."""
    return pytest.mark.postgres(pytest.mark.django_db(transaction=True)(test))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "BEAT", 0.05)


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner@example.org")


@pytest.fixture
def gate():
    """Holds work up until the test lets it go; whatever a test began is over when it ends."""
    opened = threading.Event()
    yield opened
    opened.set()
    for one in list(jobs._at_work.values()):
        assert one.done.wait(5)


def held(gate: threading.Event):
    def work(job: JobWork) -> dict:
        job.tell("begun")
        gate.wait(10)
        return {"done": True}

    return work


@apart
def test_a_job_is_on_record_while_it_runs_and_its_end_is_kept(owner, gate):
    job = job_begin(owner=owner, kind="check", work=held(gate), asked={"a": 1})
    seen = job_wait(job, 2, until_told=True)
    assert (seen.status, seen.request, [line["text"] for line in seen.progress]) == ("running", {"a": 1}, ["begun"])
    gate.set()
    seen = job_wait(job, 5)
    assert (seen.status, seen.result, seen.problem) == ("done", {"done": True}, None)
    assert seen.ended


@apart
def test_what_a_job_does_is_on_record_as_done_by_the_request_that_asked_for_it(owner):
    def work(job: JobWork) -> dict:
        audit_write(actor=owner, action="probe", obj=owner)
        return {"thread": threading.current_thread().name}

    request = RequestFactory().get("/page/", REMOTE_ADDR="192.0.2.7", headers={"X-Request-ID": "a-request-of-mine"})

    def page(request):
        page.job = job_begin(owner=owner, kind="check", work=work)
        return HttpResponse()

    request_log(page)(request)
    seen = job_wait(page.job, 5)
    assert seen.result == {"thread": f"job-{seen.pk}-check"}
    entry = AuditEntry.objects.get(action="probe")
    assert (entry.via, entry.address, entry.request_id) == ("session", "192.0.2.7", "a-request-of-mine")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Rejected("no", code="nay"), 409, "nay"),
        (Rejected("no", code="invalid"), 400, "invalid"),
        (NeedsOperator("keys"), 409, "needs-operator"),
        (Retryable("later"), 503, "unavailable"),
        (ZeroDivisionError("secret"), 500, "fault"),
    ],
)
def test_a_job_that_fails_keeps_why_as_the_problem_that_a_caller_would_have_got(owner, fault, status, code):
    def work(job: JobWork) -> dict:
        raise fault

    job = job_begin(owner=owner, kind="check", work=work)
    assert (job.status, job.problem["status"], job.problem["code"]) == ("failed", status, code)
    assert "secret" not in str(job.problem)


@apart
def test_asking_twice_for_the_same_begins_it_once_and_for_something_else_twice(owner, gate):
    first = job_begin(owner=owner, kind="check", work=held(gate), asked={"a": 1})
    assert job_begin(owner=owner, kind="check", work=held(gate), asked={"a": 1}).pk == first.pk
    assert job_begin(owner=owner, kind="check", work=held(gate), asked={"a": 2}).pk != first.pk
    other = User.objects.create_user("other@example.org")
    assert job_begin(owner=other, kind="check", work=held(gate), asked={"a": 1}).pk != first.pk


@apart
def test_too_many_are_refused_but_never_what_lowers_risk(owner, gate):
    for number in range(jobs.OF_ONE_PERSON):
        job_begin(owner=owner, kind="check", work=held(gate), asked={"a": number})
    with pytest.raises(Retryable):
        job_begin(owner=owner, kind="check", work=held(gate), asked={"a": "one more"})
    assert Job.objects.count() == jobs.OF_ONE_PERSON
    for number in range(3):
        job_begin(owner=owner, kind="halt", work=held(gate), asked={"a": number}, vital=True)


@pytest.mark.django_db
def test_a_job_whose_process_died_is_lost_and_its_own_end_counts_after_all(owner):
    past = timezone.now() - timedelta(seconds=1)
    job = Job.objects.create(owner=owner, kind="close", alive_until=past)
    alive = Job.objects.create(owner=owner, kind="close", alive_until=timezone.now() + jobs.ALIVE)
    assert jobs_sweep() == 1
    job.refresh_from_db()
    assert (job.status, job.problem["detail"]) == ("lost", jobs.LOST)
    alive.refresh_from_db()
    assert alive.status == "running"
    jobs._end_surely(job.pk, {"closed": True}, None)
    job.refresh_from_db()
    assert (job.status, job.result) == ("done", {"closed": True})


@pytest.mark.django_db
def test_jobs_that_ended_long_ago_are_forgotten(owner):
    old = timezone.now() - jobs.KEPT - timedelta(days=1)
    Job.objects.create(owner=owner, kind="close", status="done", alive_until=old)
    Job.objects.create(owner=owner, kind="close", status="done", alive_until=timezone.now())
    jobs_sweep()
    assert Job.objects.count() == 1


@apart
def test_a_job_stays_alive_while_it_is_worked_on_and_hears_when_it_is_cancelled_elsewhere(owner, gate):
    def work(job: JobWork) -> dict:
        assert job.stop.wait(5)
        return {}

    job = job_begin(owner=owner, kind="backtest", work=work)
    Job.objects.filter(pk=job.pk).update(alive_until=timezone.now())
    patience = time.monotonic() + 5
    while Job.objects.get(pk=job.pk).alive_until < timezone.now() + timedelta(seconds=20):
        assert time.monotonic() < patience
        time.sleep(0.02)
    jobs._end(job.pk, "failed", problem={"status": 409})  # as another process does it
    assert job_wait(job, 5).status == "failed"


@apart
def test_only_what_touches_no_account_can_be_broken_off(owner, gate):
    job = job_begin(owner=owner, kind="close", work=held(gate))
    with pytest.raises(Rejected):
        job_cancel(job=job)
    test = job_begin(owner=owner, kind="backtest", work=held(gate))
    assert job_cancel(job=test).problem["code"] == "cancelled"
    gate.set()
    assert job_wait(test, 5).problem["code"] == "cancelled", "its end changes nothing any more"


@apart
def test_a_process_that_ends_waits_for_what_lowers_risk_and_for_nothing_else(owner, gate):
    job_begin(owner=owner, kind="check", work=held(gate))
    assert jobs_drain(0.05)
    job_begin(owner=owner, kind="close", work=held(gate), vital=True)
    assert not jobs_drain(0.05)
    gate.set()
    assert jobs_drain(5)


@pytest.mark.django_db
def test_jobs_are_listed_to_their_owner_alone(client, owner):
    alive = timezone.now() + jobs.ALIVE
    mine = Job.objects.create(owner=owner, kind="close", alive_until=alive)
    other = User.objects.create_user("other@example.org")
    theirs = Job.objects.create(owner=other, kind="close", alive_until=alive)
    client.force_login(owner)
    assert [row["id"] for row in client.get("/api/v1/jobs/").json()["results"]] == [mine.pk]
    one = client.get(f"/api/v1/jobs/{mine.pk}/")
    assert (one.status_code, one.json()["status"], one["Retry-After"]) == (200, "running", "1")
    assert client.get(f"/api/v1/jobs/{theirs.pk}/").status_code == 404
    assert client.delete(f"/api/v1/jobs/{theirs.pk}/").status_code == 404
    assert client.delete(f"/api/v1/jobs/{mine.pk}/").json()["code"] == "not-cancellable"


@pytest.mark.django_db
def test_a_lost_job_is_found_when_it_is_read(client, owner):
    job = Job.objects.create(owner=owner, kind="close", alive_until=timezone.now() - timedelta(seconds=1))
    client.force_login(owner)
    told = client.get(f"/api/v1/jobs/{job.pk}/").json()
    assert (told["status"], told["problem"]["code"]) == ("lost", "lost")
    assert client.get("/api/v1/jobs/", {"status": "running"}).json()["results"] == []


@pytest.mark.django_db
@pytest.mark.parametrize(("vital", "ran"), [(True, 1), (False, 0)])
def test_what_lowers_risk_is_done_although_a_process_that_died_just_now_was_at_it(owner, vital, ran):
    left = Job.objects.create(owner=owner, kind="halt", request={}, alive_until=timezone.now() + timedelta(seconds=25))
    done: list[int] = []
    job = job_begin(owner=owner, kind="halt", work=lambda job: {"n": done.append(1)}, vital=vital)
    assert (len(done), job.pk == left.pk) == (ran, not vital)
