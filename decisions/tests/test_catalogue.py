"""Catalogues are read as their providers write them; what makes no sense is left out, and nothing of it raises."""

import json
import time
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.catalogue import Catalogue, NoCatalogue, read_catalogue, takes_schema
from decisions.llm.catalogue import MOST_BYTES, Unread, catalogue_fetch, key_fetch
from decisions.llm.endpoints import Endpoint
from decisions.tests.catalogue_server import (
    catalogue_server,
    dripping,
    openai_list,
    openrouter_list,
    openrouter_model,
    send,
)

SECRET = "sk-of-this-server-only"


def read(body, dialect="openrouter"):
    return read_catalogue(json.dumps(body).encode(), dialect)


def one(dialect="openrouter", **row):
    (model,) = read({"data": [row]}, dialect).models
    return model


def test_everything_that_openrouter_says_of_a_model_is_kept():
    (model,) = read(openrouter_list(openrouter_model("x-ai/grok-4.3", expiration_date="2026-12-10T00:00:00Z"))).models
    assert (model.slug, model.canonical) == ("x-ai/grok-4.3", "x-ai/grok-4.3-20260430")
    assert (model.input_price, model.output_price) == (Decimal("1.25"), Decimal("2.5"))
    assert (model.context, model.max_output) == (1_050_000, 128_000)
    assert takes_schema(model.supported) is True
    assert model.efforts == ("minimal", "low", "medium", "high")
    assert (model.cutoff, model.expires) == (date(2026, 1, 31), date(2026, 12, 10))


def test_the_price_is_that_of_the_dearest_hour_and_of_ordinary_prompts():
    pricing = {
        "prompt": "0.0000001",
        "completion": "0.0000002",
        "overrides": [
            {
                "utc_start": 30,
                "utc_end": 1630,
                "utc_days": ["monday"],
                "prompt": "0.0000003",
                "completion": "0.0000004",
            },
            {"min_prompt_tokens": 200_000, "prompt": "0.0000009", "completion": "0.0000009"},
            {"a_condition_of_next_year": 1, "prompt": "0.000009"},
        ],
    }
    model = one(id="a/b", pricing=pricing)
    assert (model.input_price, model.output_price) == (Decimal("0.3"), Decimal("0.4"))


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "1e99", "1e-99999999999", "", None, True, [], {}, "1" * 50])
def test_a_price_that_is_none_is_not_known(price):
    model = one(id="openrouter/auto", pricing={"prompt": price, "completion": price})
    assert model.input_price is None or model.input_price == 0
    assert price == "1e-99999999999" or model.input_price is None


def test_free_is_a_price():
    assert one(id="a/b:free", pricing={"prompt": "0", "completion": "0"}).input_price == 0


def test_other_providers_are_read_for_what_they_give():
    deepseek = one(
        "deepseek",
        id="deepseek-v4-pro",
        name="DeepSeek-V4-Pro",
        context_window=1_048_576,
        max_output_tokens=393_216,
        effort={"supported_levels": ["low", "high", "max"], "default_level": "high"},
    )
    assert (deepseek.context, deepseek.max_output, deepseek.efforts) == (
        1_048_576,
        393_216,
        ("none", "low", "high", "max"),
    )
    capabilities = {
        "effort": {"supported": True, "low": {"supported": True}, "max": {"supported": False}},
        "structured_outputs": {"supported": True},
    }
    claude = one(
        "anthropic", id="claude-sonnet-5", display_name="Claude Sonnet 5", max_input_tokens=1_000_000,
        max_tokens=128_000, capabilities=capabilities,
    )  # fmt: skip
    assert (claude.title, claude.context, claude.max_output) == ("Claude Sonnet 5", 1_000_000, 128_000)
    assert (claude.efforts, takes_schema(claude.supported)) == (("none", "low"), True)
    capabilities["structured_outputs"] = {"supported": False}
    assert takes_schema(one("anthropic", id="claude-3", capabilities=capabilities).supported) is False
    (grok,) = read(
        {"models": [{"id": "grok-4.3", "prompt_text_token_price": 12_500, "completion_text_token_price": 25_000}]},
        "xai",
    ).models
    assert (grok.input_price, grok.output_price) == (Decimal("1.25"), Decimal("2.5"))
    assert one("gemini", id="models/gemini-3.8-flash").slug == "gemini-3.8-flash"
    names = read(openai_list("gpt-5.6-luna", "gpt-5.6-terra"), "openai")
    assert [model.slug for model in names.models] == ["gpt-5.6-luna", "gpt-5.6-terra"]
    assert takes_schema(names.models[0].supported) is None, "a bare list says nothing of it"


def test_not_to_reason_is_taken_unless_reasoning_is_mandatory():
    levels = ["low", "high"]
    assert one(id="a/b", reasoning={"supported_efforts": levels}).efforts == ("none", "low", "high")
    assert one(id="a/b", reasoning={"supported_efforts": levels, "mandatory": True}).efforts == ("low", "high")
    assert one(id="a/b", reasoning={"mandatory": True}).efforts == ()


def test_entries_that_make_no_sense_are_left_out_and_counted():
    rows = [
        None,
        7,
        "x",
        {},
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 121},
        {"id": "a\n"},
        {"id": 3},
        {"id": "good/one"},
    ]
    catalogue = read({"data": rows})
    assert [model.slug for model in catalogue.models] == ["good/one"]
    assert catalogue.skipped == len(rows) - 1
    odd = one(
        id="a/b", name=3, context_length=-5, top_provider=[], supported_parameters="all", reasoning={"supported_efforts": 1},
        expiration_date="soon", knowledge_cutoff=2026, pricing=[], canonical_slug={},
    )  # fmt: skip
    assert (odd.context, odd.max_output, odd.supported, odd.efforts, odd.expires) == (None, None, (), (), None)


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"[]", b"null", b'{"data": 3}', b'{"models": {}}', b"\xff\xfe", b"[" * 100_000, b"9" * 9_000],
)
def test_a_body_that_is_no_list_is_refused(raw):
    with pytest.raises(NoCatalogue):
        read_catalogue(raw, "openrouter")


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner))
FIELDS = st.sampled_from([*sorted(openrouter_model("a/b")), "effort", "capabilities", "max_tokens"])


@given(rows=st.lists(JSON | st.dictionaries(FIELDS, JSON), max_size=4), dialect=st.sampled_from(["openrouter", "xai"]))
def test_whatever_stands_in_a_list_it_is_read_or_left_out(rows, dialect):
    catalogue = read({"data": rows}, dialect)
    assert isinstance(catalogue, Catalogue)
    assert len(catalogue.models) + catalogue.skipped == len(rows)


# -- over the wire ----------------------------------------------------------------------------------------


def fetched(server, dialect="openrouter", seconds=5.0):
    return catalogue_fetch(Endpoint(server.url, SECRET, dialect, dialect), seconds=seconds)


def test_pages_are_followed_to_the_end_on_the_same_server():
    routes = {
        "/models": openrouter_list(openrouter_model("a/one"), after="/v1/models?offset=1", total=2),
        "/models?offset=1": openrouter_list(openrouter_model("a/two"), total=2),
    }
    with catalogue_server(routes) as server:
        catalogue = fetched(server)
    assert [model.slug for model in catalogue.models] == ["a/one", "a/two"]
    assert catalogue.whole
    assert {header["Authorization"] for header in server.headers} == {f"Bearer {SECRET}"}


def test_a_next_page_on_another_server_is_not_asked_and_neither_is_a_redirect_followed():
    with catalogue_server({"/models": openrouter_list(openrouter_model("b/two"))}) as other:
        body = openrouter_list(openrouter_model("a/one"), after=f"{other.url}/models")
        redirect = lambda handler: send(handler, 307, b"", Location=f"{other.url}/models")  # noqa: E731
        for answer in (body, redirect):
            with catalogue_server({"/models": answer}) as server, pytest.raises(Unread):
                fetched(server)
    assert other.headers == [], "the key was sent to nobody else"


def test_anthropic_is_asked_in_its_own_way_and_xai_where_it_lists_prices():
    page = {
        "data": [{"id": "claude-sonnet-5", "display_name": "Claude"}],
        "has_more": True,
        "last_id": "claude-sonnet-5",
    }
    last = {"data": [{"id": "claude-opus-5"}], "has_more": False, "last_id": "claude-opus-5"}
    routes = {"/models?limit=1000": page, "/models?limit=1000&after_id=claude-sonnet-5": last}
    with catalogue_server(routes) as server:
        assert [model.slug for model in fetched(server, "anthropic").models] == ["claude-sonnet-5", "claude-opus-5"]
    assert server.headers[0]["x-api-key"] == SECRET
    assert "Authorization" not in server.headers[0]
    with catalogue_server({"/models": openai_list("grok-4.3")}) as server:
        assert [model.slug for model in fetched(server, "xai").models] == ["grok-4.3"]
    assert server.paths == ["/v1/language-models", "/v1/models"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 503])
def test_an_error_is_told_by_host_and_status_and_never_by_its_text(status):
    refusal = (status, {"error": {"message": f"no {SECRET}"}})
    with catalogue_server({"/models": refusal}) as server, pytest.raises(Unread) as fault:
        fetched(server)
    assert fault.value.status == status
    assert str(status) in str(fault.value)
    assert SECRET not in str(fault.value)


def test_a_list_that_drips_or_is_too_large_is_given_up():
    began = time.monotonic()
    with catalogue_server({"/models": dripping}) as server, pytest.raises(Unread, match="timeout"):
        fetched(server, seconds=0.7)
    assert time.monotonic() - began < 5, "a byte now and then does not stretch the time"
    huge = b'{"data": [' + b" " * MOST_BYTES + b"]}"
    with catalogue_server({"/models": huge}) as server, pytest.raises(Unread, match="too_large"):
        fetched(server)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(Unread, match="unreachable"):
        catalogue_fetch(Endpoint("http://127.0.0.1:1/v1", SECRET), seconds=2)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"data": {"limit_remaining": 7.25}}, Decimal("7.25")),
        ({"data": {"limit_remaining": None}}, None),
        ({"data": []}, None),
        ([], None),
        ({"data": {"limit_remaining": "much"}}, None),
        (b'{"data": {"limit_remaining": NaN}}', None),
    ],
)
def test_what_is_left_on_a_key_is_read_or_not_known(body, left):
    with catalogue_server({"/key": body}) as server:
        assert key_fetch(Endpoint(server.url, SECRET, "openrouter", "openrouter")).remaining == left
