"""NUL characters: a page whose address holds one is refused in words, a form is taken without them, the API has its own rule."""

import asyncio
from urllib.parse import parse_qsl

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from decisions.models import DiaryEntry
from tests.support.demo import demo
from vibex.lib.plain_text import no_nul

FORM = "application/x-www-form-urlencoded"


def reached(request):
    """Return what a view is given, or the answer that it never saw."""
    told = []

    def view(request):
        told.append((request.GET, request.POST))
        return HttpResponse()

    answer = no_nul(view)(request)
    return told[0] if told else answer


@pytest.mark.parametrize("query", ["a=%00", "a=x%00y", "a=1&b=2&b=%00", "%00=1", "a=b%00&a=c"])
def test_a_page_whose_address_holds_one_is_refused_in_words(query):
    answer = reached(RequestFactory().get(f"/?{query}"))
    assert answer.status_code == 400
    assert "There is a NUL character in the address" in answer.content.decode()


def test_one_in_the_path_is_refused_too():
    assert reached(RequestFactory().get("/prompts/a%00b/")).status_code == 400


@pytest.mark.parametrize("kind", [FORM, "multipart"])
def test_a_form_is_taken_without_them_and_never_refused(kind):
    sent = "reason=too%00+hot&act=%00halt&names=a&names=%00b&plain=c&o%00dd=1&empty=%00"
    make = RequestFactory().post
    pairs = parse_qsl(sent, keep_blank_values=True)
    typed = {name: [value for key, value in pairs if key == name] for name, _ in pairs}
    address = "/halt/?next=/%00"
    request = make(address, sent, content_type=FORM) if kind == FORM else make(address, typed)
    query, form = reached(request)
    assert dict(form.lists()) == {
        "reason": ["too hot"], "act": ["halt"], "names": ["a", "b"], "plain": ["c"], "empty": [""],
    }  # fmt: skip
    assert dict(query.lists()) == {"next": ["/"]}
    with pytest.raises(AttributeError):
        form["reason"] = "a form is not edited"


def test_what_holds_none_is_given_on_as_it_is():
    request = RequestFactory().post("/?a=1", {"b": "two"})
    query, form = request.GET, request.POST
    assert reached(request) == (query, form)
    assert request.POST is form


def test_the_api_is_left_to_its_own_rule():
    query, _ = reached(RequestFactory().get("/api/v1/accounts/?name=%00"))
    assert query["name"] == "\0"


def test_a_body_that_is_no_form_is_not_read():
    request = RequestFactory().post("/somewhere/", b'{"a": "\\u0000"}', content_type="application/json")
    reached(request)
    assert not request._read_started


def test_it_does_the_same_where_requests_are_answered_without_threads():
    async def view(request):
        return HttpResponse(request.POST["a"])

    made = no_nul(view)
    assert asyncio.run(made(RequestFactory().get("/?a=%00"))).status_code == 400
    assert asyncio.run(made(RequestFactory().post("/", {"a": "b\0c"}))).content == b"bc"


PATHS = ["/?market=%00", "/arena/?prompt=%00", "/accounts/{}/orders/?symbol=%00", "/accounts/{}/market/?symbol=%00"]


def pages_and_forms(client, monkeypatch):
    made = demo(now=timezone.now(), cycles=1, equity_points=2)
    client.force_login(made.user)
    for path in PATHS:
        assert client.get(path.format(made.account.pk)).status_code == 400, path
    client.post(f"/accounts/{made.account.pk}/diary/note/", {"text": "so\0 calm", "form": "\0f", "symbol": "\0"})
    assert [note.text for note in DiaryEntry.objects.filter(kind="note")] == ["so calm"]
    halted = []
    monkeypatch.setattr("trading.services.halt_all.accounts_halt", lambda **how: halted.append(how))
    assert client.post("/halt/?x=%00", {"account": "a\0ll", "reason": "too\0 hot"}).status_code == 302
    assert [(how["accounts"], how["reason"]) for how in halted] == [([made.account], "too hot")]


@pytest.mark.django_db
def test_every_page_is_under_it(client, monkeypatch):
    pages_and_forms(client, monkeypatch)


@pytest.mark.django_db
@pytest.mark.postgres
def test_postgresql_never_sees_one(client, monkeypatch):
    """It would answer with an error, and the page with 500."""
    pages_and_forms(client, monkeypatch)
