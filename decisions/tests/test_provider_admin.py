"""Providers are made and checked in the admin by staff; keys go to their own server only and are never shown."""

import pytest
from django.urls import reverse

from accounts.models import AuditEntry
from decisions.domain.providers import HOUSE, ProviderSpec, address_fault, is_at_home, key_fault, name_fault
from decisions.llm.endpoints import endpoint_of, key_in
from decisions.models import CatalogueModel, Provider
from decisions.tests.catalogue_server import catalogue_server, openai_list, openrouter_list, openrouter_model
from tests.support.demo import person
from vibex.lib.errors import Rejected

LIST = reverse("admin:decisions_provider_changelist")
ADD = reverse("admin:decisions_provider_add")
GROQ = {"name": "groq", "dialect": "plain", "base_url": "https://api.groq.com/openai/v1", "enabled": "on"}


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def spec(name="groq", url="https://api.groq.com/openai/v1", key=""):
    return ProviderSpec(name, "plain", url, key)


@pytest.mark.parametrize(
    ("url", "well"),
    [
        ("https://api.example.com/v1", True),
        ("http://127.0.0.1:11434/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://192.168.1.20/v1", True),
        ("http://10.0.0.5:8000", True),
        ("http://ollama:11434/v1", True),
        ("http://localhost/v1", True),
        ("http://box.local/v1", True),
        ("http://api.example.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("http://0.0.0.0/v1", False),
        ("http://localhost.example.com/v1", False),
        ("https://user:key@api.example.com/v1", False),
        ("https://api.example.com/v1?key=sk", False),
        ("https://api.example.com/v1#x", False),
        ("https://api.example.com:port/v1", False),
        ("ftp://api.example.com", False),
        ("api.example.com/v1", False),
        ("https://", False),
        ("", False),
    ],
)
def test_only_a_server_at_home_is_asked_in_the_clear(url, well):
    assert (address_fault(url) == "") is well


def test_no_name_without_a_dot_is_a_public_host_and_some_ends_are_not_either():
    assert is_at_home("gateway.internal")
    assert not is_at_home("internal.example")


@pytest.mark.parametrize("name", ["rules", "local", "Groq", "a b", "a/b", "", "-a", "a--b"])
def test_names_that_mean_something_else_are_refused(name):
    assert name_fault(name)


@pytest.mark.parametrize(
    "variable",
    [
        "ASTERDEX_API_KEY", "BINANCE_API_KEY", "SECRET_KEY", "DATABASE_URL", "CREDENTIALS_KEY", "GITHUB_API_KEY", "PATH",
        "LLM_API_KEY_OTHER", "LLM_API_KEY", *(house.key_variable for house in HOUSE.values()),
    ],
)  # fmt: skip
def test_no_other_secret_and_no_key_of_another_server_is_sent(variable, settings):
    assert "LLM_API_KEY_GROQ" in key_fault(spec(key=variable))


def test_each_key_goes_to_its_own_server():
    assert key_fault(spec(key="LLM_API_KEY_GROQ")) == ""
    assert key_fault(spec("my-host", key="LLM_API_KEY_MY_HOST")) == ""
    assert key_fault(spec("openai", "https://api.openai.com/v1", "OPENAI_API_KEY")) == ""
    assert key_fault(spec("europe", "https://api.openai.com/v1/eu", "OPENAI_API_KEY")) == ""
    assert key_fault(spec("openai", "https://api.openai.com.evil.example/v1", "OPENAI_API_KEY"))
    own = "https://llm.example/v1"
    assert key_fault(spec("second", own, "LLM_API_KEY"), local_url=own) == ""
    assert key_fault(spec("second", "https://elsewhere.example/v1", "LLM_API_KEY"), local_url=own)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"key_variable": "ASTERDEX_API_KEY"}, "LLM_API_KEY_GROQ"),
        ({"key_variable": "OPENAI_API_KEY"}, "https://api.openai.com"),
        ({"base_url": "http://api.groq.com/v1"}, "in the clear"),
    ],
)
def test_a_row_that_came_past_the_form_is_refused_where_it_is_read(settings, fields, why):
    settings.OPENAI_API_KEY = "sk-of-openai"
    Provider.objects.create(**{**GROQ, "enabled": True, **fields})
    with pytest.raises(Rejected) as refusal:
        endpoint_of("groq")
    assert why.removeprefix("https://") in str(refusal.value)
    assert "sk-of-openai" not in str(refusal.value)


@pytest.mark.django_db
def test_the_base_url_may_not_be_asked_in_the_clear_either(settings):
    settings.LLM_BASE_URL, settings.LLM_API_KEY = "http://llm.example.com/v1", "sk"
    with pytest.raises(Rejected, match="in the clear"):
        endpoint_of("local")


def test_only_variables_of_model_servers_are_ever_read(settings, monkeypatch):
    settings.ASTERDEX_API_KEY, settings.MODEL_KEYS = "of-the-exchange", {"GROQ": "sk-groq"}
    monkeypatch.setenv("GITHUB_API_KEY", "of-another")
    assert [key_in(name) for name in ("ASTERDEX_API_KEY", "SECRET_KEY", "GITHUB_API_KEY", "", "LLM_API_KEY_")] == [
        ""
    ] * 5
    assert key_in("LLM_API_KEY_GROQ") == "sk-groq"


@pytest.mark.django_db
def test_a_provider_is_made_on_record_and_asked_with_its_own_key(boss, settings):
    settings.MODEL_KEYS = {"GROQ": "sk-groq"}
    assert boss.post(ADD, GROQ | {"key_variable": "LLM_API_KEY_GROQ"}).status_code == 302
    assert AuditEntry.objects.get(action="provider-create").after["name"] == "groq"
    endpoint = endpoint_of("groq")
    assert (endpoint.base_url, endpoint.key, endpoint.provider) == (GROQ["base_url"], "sk-groq", "groq")
    assert "sk-groq" not in repr(endpoint)
    page = boss.get(LIST).content.decode()
    assert "LLM_API_KEY_GROQ is set" in page
    assert "sk-groq" not in page


@pytest.mark.django_db
def test_the_form_says_what_is_wrong_where_it_is_wrong(boss):
    wrong = GROQ | {"name": "local", "base_url": "http://api.groq.com/v1", "key_variable": "ASTERDEX_API_KEY"}
    errors = boss.post(ADD, wrong).context["adminform"].form.errors
    assert set(errors) == {"name", "base_url", "key_variable"}
    assert not Provider.objects.exists()


@pytest.mark.django_db
def test_a_provider_keeps_its_name_and_is_switched_off_instead_of_deleted(boss):
    row = Provider.objects.create(**GROQ | {"enabled": True})
    page = reverse("admin:decisions_provider_change", args=[row.pk])
    boss.post(page, {key: value for key, value in GROQ.items() if key != "enabled"} | {"name": "other"})
    row.refresh_from_db()
    assert (row.name, row.enabled) == ("groq", False)
    assert boss.post(reverse("admin:decisions_provider_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    with pytest.raises(Rejected, match="no provider"):
        endpoint_of("groq")


def check(client, *rows):
    answer = client.post(LIST, {"action": "ask", "_selected_action": [row.pk for row in rows]}, follow=True)
    return [str(message) for message in answer.context["messages"]]


@pytest.mark.django_db
def test_the_check_reads_the_list_and_says_what_came_of_it(boss):
    with catalogue_server({"/models": openai_list("one", "two")}) as server:
        good = Provider.objects.create(name="good", base_url=server.url)
        bad = Provider.objects.create(name="bad", base_url="http://127.0.0.1:1/v1")
        told = check(boss, bad, good)
    assert "good lists 2 models, 2 of them new." in told
    assert any("bad: unreachable" in text for text in told)
    assert server.paths == ["/v1/models"]
    assert CatalogueModel.objects.filter(provider="good").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"data": {"limit_remaining": 3.5}}, "3.50 US dollars left"),
        ({"data": {"limit_remaining": None}}, "1 models"),
        ((401, {}), "refuses the key"),
    ],
)
def test_the_check_of_openrouter_says_what_is_left_on_the_key(boss, settings, answer, said):
    settings.MODEL_KEYS = {"ROUTER": "sk-router"}
    with catalogue_server({"/models": openrouter_list(openrouter_model("a/b")), "/key": answer}) as server:
        row = Provider.objects.create(
            name="router", dialect="openrouter", base_url=server.url, key_variable="LLM_API_KEY_ROUTER"
        )
        (text,) = check(boss, row)
    assert said in text
    assert "sk-router" not in text


@pytest.mark.django_db
def test_who_is_not_staff_sees_nothing_of_it(client):
    client.force_login(person("somebody@vibex.local"))
    assert client.get(LIST).status_code == 302
    client.force_login(person("staff@vibex.local", is_staff=True))
    assert client.get(LIST).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["requests_per_minute", "at_once"])
def test_a_pace_of_nothing_is_refused_because_it_would_be_the_usual_one(boss, field):
    page = boss.post(ADD, GROQ | {field: "0"})
    assert page.context["adminform"].form.errors == {
        field: ["At least 1; empty for the usual figure. A provider that is not to be asked is switched off."]
    }
    assert not Provider.objects.exists()
