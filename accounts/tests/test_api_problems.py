"""What is wrong is told in one form everywhere below /api/, and nothing that is sent makes a fault of the code."""

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.support.demo import PASSWORD, account_of, bot_of, person
from vibex.lib.api.problems import flat_errors

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def bot(db):
    return bot_of(account_of(person()))


@pytest.fixture
def client(bot) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(bot.account.owner)
    return client


def problem(answer) -> dict:
    """Return the problem that an answer tells; it has to be one."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = json.loads(answer.content)
    assert told["status"] == answer.status_code
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert told["instance"] == answer.wsgi_request.path
    assert {"type", "title", "detail", "code"} <= set(told)
    return told


def test_an_unknown_address_is_a_problem_for_everybody_and_a_missing_slash_is_named(client):
    for caller in (client, Client()):
        assert problem(caller.post("/api/v1/no/such/thing/"))["code"] == "not-found"
        assert "/api/v1/things/" in problem(caller.get("/api/v1/things"))["detail"]


def test_a_fault_of_the_code_tells_nothing_but_the_request(client, bot):
    told = problem(client.post(f"/api/v1/things/{bot.pk}/later/"))
    assert (told["status"], told["code"]) == (500, "broken")
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"note": "\xff"}', "application/json", 400),
        (b'{"note": "a", "note": "b"}', "application/json", 400),
        (b'{"note": "\\u0000"}', "application/json", 400),
        (b'{"note": "\\ud800"}', "application/json", 400),
        (b'{"\\u0000": 1}', "application/json", 400),
        (b'{"size": 1e999}', "application/json", 400),
        (b'{"size": NaN}', "application/json", 400),
        (b'{"size": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"note": ' + b"[" * 40 + b"]" * 40 + b"}", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b'{"nota": "a"}', "application/json", 400),
        (b'{"note": {"a": 1}}', "application/json", 400),
        (b"note=%00", FORM, 400),
        (b"note=a&nota=b", FORM, 400),
        (b"note=%ff", f"{FORM}; charset=base64", 200),
        (b'{"note": "a"}', "application/json; charset=utf-16", 200),
        (b"&".join(b"a%d=1" % number for number in range(1001)), FORM, 400),
        (b"<a/>", "application/xml", 415),
        (b"--x\r\nContent-Disposition: form-data; name=note\r\n\r\na\r\n--x--", "multipart/form-data; boundary=x", 415),
        (b'{"note": "' + b"x" * 300_000 + b'"}', "application/json", 413),
        (b"note=" + b"x" * 300_000, FORM, 413),
        (b"", "application/json", 200),
        (b"", "", 200),
    ],
)
def test_odd_bodies_are_refused_in_one_form(client, bot, body, kind, status):
    answer = client.generic("POST", f"/api/v1/things/{bot.pk}/end/", body, content_type=kind)
    assert answer.status_code == status, answer.content
    if status != 200:
        problem(answer)


def test_an_answer_that_cannot_be_written_as_wanted_is_406(client):
    assert problem(client.get("/api/v1/things/", headers={"Accept": "image/png"}))["status"] == 406


def test_a_browser_without_the_token_of_the_pages_acts_on_nothing(bot):
    client = Client(enforce_csrf_checks=True)
    client.login(email=bot.account.owner.email, password=PASSWORD)
    answer = client.post(f"/api/v1/things/{bot.pk}/end/", {}, content_type="application/json")
    assert problem(answer)["status"] == 403
    assert "CSRF" in answer.json()["detail"]


def test_errors_that_lie_deep_are_told_by_one_name():
    told = {"symbols": {0: ["Too long."]}, "tiers": [{}, {"at": ["No number."]}], "non_field_errors": ["Both."]}
    assert flat_errors(told) == {"symbols.0": ["Too long."], "tiers.1.at": ["No number."], "body": ["Both."]}
