"""The models there are and their providers over the API: read from the catalogues, and never a key."""

from datetime import date

import pytest
from django.test import override_settings
from django.utils import timezone

from decisions.domain.catalogue import STRUCTURED
from decisions.models import CatalogueModel, CatalogueRead, Provider
from decisions.tests.api_kit import Records

pytestmark = pytest.mark.django_db
KEY = "sk-proj-0123456789abcdef0123456789"


@pytest.fixture
def alice():
    for slug, price in (("alpha", 1), ("beta", 2), ("gamma", 3)):
        CatalogueModel.objects.create(
            provider="openai", slug=slug, title=slug.title(), context=200_000, input_price=price, output_price=price * 4,
            supported=sorted(STRUCTURED), efforts=["low"],
        )  # fmt: skip
    CatalogueModel.objects.create(provider="openai", slug="old", gone_at=timezone.now())
    CatalogueModel.objects.create(provider="xai", slug="ends", expires=date(2020, 1, 1))
    return Records()


def names(told):
    return [row["model"] for row in told["results"]]


def test_a_model_tells_price_context_and_state(alice):
    (row,) = alice.rows("models/", search="alpha")
    assert (row["model"], row["title"], row["state"]) == ("openai/alpha", "Alpha", "known")
    assert (row["input_price"], row["output_price"], row["context"], row["efforts"]) == ("1", "4", 200_000, ["low"])
    assert (row["schema"], row["expires"], row["max_output"]) == (True, None, None)


def test_models_can_be_narrowed(alice):
    assert names(alice.get("models/", provider="openai")) == ["openai/alpha", "openai/beta", "openai/gamma"]
    assert "openai/old" in names(alice.get("models/", provider="openai", gone="true"))
    assert names(alice.get("models/", provider="xai", state="gone")) == ["xai/ends"]
    assert names(alice.get("models/", search="no such model")) == []
    for name, value in (("state", "happy"), ("gone", "perhaps"), ("limit", 501), ("cursor", "x"), ("vendor", "x")):
        assert name in alice.refused("models/", **{name: value})


def test_pages_of_models_lead_on_and_back(alice):
    first = alice.get("models/", provider="openai", limit=2)
    assert names(first) == ["openai/alpha", "openai/beta"]
    assert first["previous"] is None
    second = alice.client.get(first["next"]).json()
    assert (names(second), second["next"]) == (["openai/gamma"], None)
    back = alice.client.get(second["previous"]).json()
    assert names(back) == names(first)


@override_settings(OPENAI_API_KEY=KEY, XAI_API_KEY=None)
def test_a_provider_without_a_key_says_which_one_is_missing_and_no_key_is_told(alice):
    Provider.objects.create(name="lan", base_url="http://llm.lan/v1")
    CatalogueRead.objects.create(provider="xai", fault=f"401 for {KEY}")
    answer = alice.client.get("/api/v1/providers/")
    told = {row["name"]: row for row in answer.json()}
    assert (told["openai"]["problem"], told["lan"]["problem"]) == ("", "")
    assert (told["xai"]["problem"], told["xai"]["catalogue_problem"]) == ("Set XAI_API_KEY.", "401 for ***")
    assert KEY not in answer.content.decode()
    assert {row["model"] for row in alice.rows("models/", askable="true")} >= {"openai/alpha"}
    assert not {row["model"] for row in alice.rows("models/", askable="false")} & {"openai/alpha"}


def test_the_list_has_a_tag_that_changes_with_it(alice):
    path = "/api/v1/models/?provider=openai"
    tag = alice.client.get(path)["ETag"]
    assert alice.client.get(path, HTTP_IF_NONE_MATCH=tag).status_code == 304
    CatalogueModel.objects.filter(slug="beta").update(input_price=7)
    again = alice.client.get(path, HTTP_IF_NONE_MATCH=tag)
    assert (again.status_code, again["ETag"] == tag) == (200, False)


def test_models_take_few_queries(alice, django_assert_num_queries):
    alice.get("models/")
    with django_assert_num_queries(5):  # session and person; models, who has a catalogue, providers
        alice.get("models/")
