"""Catalogues are kept as rows; what vanishes is gone, what fails changes nothing, and a model that ends is told once a day."""

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.domain.alerts import EventType
from accounts.models import Alert
from decisions.domain.model_state import Kind
from decisions.domain.money import Price
from decisions.models import CatalogueModel, CatalogueRead, Interaction, Provider
from decisions.selectors.catalogue import CatalogueKnown, catalogue_known
from decisions.selectors.model_list import choices, model_lines
from decisions.selectors.models_asked import bots_by_model, model_state, models_of
from decisions.services.catalogue import catalogue_refresh, catalogues_keep, models_watch
from decisions.tests.catalogue_server import catalogue_server, openai_list, openrouter_list, openrouter_model
from trading.tests.builders import make_account, make_bot

pytestmark = pytest.mark.django_db
GROK = "x-ai/grok-4.3"


def provider_at(url, name="lan", dialect="openrouter"):
    return Provider.objects.create(name=name, dialect=dialect, base_url=url)


def slugs(**wanted):
    return sorted(CatalogueModel.objects.filter(**wanted).values_list("slug", flat=True))


def test_a_catalogue_becomes_rows_and_is_read_anew_over_them():
    routes = {"/models": openrouter_list(openrouter_model(GROK), openrouter_model("a/two"))}
    with catalogue_server(routes) as server:
        provider_at(server.url)
        assert catalogue_refresh(provider="lan").new == 2
        pricing = {"prompt": "0.000002", "completion": "0.000006"}
        routes["/models"] = openrouter_list(openrouter_model(GROK, pricing=pricing), openrouter_model("a/three"))
        done = catalogue_refresh(provider="lan")
    assert (done.models, done.new, done.gone, done.fault) == (2, 1, 1, "")
    row = CatalogueModel.objects.get(slug=GROK)
    assert (row.input_price, row.output_price, row.max_output) == (Decimal(2), Decimal(6), 128_000)
    assert slugs(gone_at=None) == ["a/three", GROK]
    assert slugs(gone_at__isnull=False) == ["a/two"]
    assert CatalogueRead.objects.get().fault == ""


def test_what_comes_back_is_not_gone_any_more():
    routes = {"/models": openai_list("one", "two")}
    with catalogue_server(routes) as server:
        provider_at(server.url, dialect="plain")
        catalogue_refresh(provider="lan")
        routes["/models"] = openai_list("one")
        catalogue_refresh(provider="lan")
        assert slugs(gone_at=None) == ["one"]
        routes["/models"] = openai_list("one", "two")
        catalogue_refresh(provider="lan")
    assert slugs(gone_at=None) == ["one", "two"]


@pytest.mark.parametrize(
    "answer",
    [(500, {}), (401, {}), b"<html>", {"data": []}, {"data": [{"id": "x y"}]}, openai_list("m0")],
    ids=["error", "key", "html", "empty", "unreadable", "a fraction"],
)
def test_a_catalogue_that_cannot_be_believed_lets_nothing_be_gone(answer):
    routes = {"/models": openai_list(*(f"m{number}" for number in range(10)))}
    with catalogue_server(routes) as server:
        provider_at(server.url, dialect="plain")
        catalogue_refresh(provider="lan")
        routes["/models"] = answer
        catalogue_refresh(provider="lan")
    assert len(slugs(gone_at=None)) == 10


def test_a_part_of_a_list_lets_nothing_be_gone():
    routes = {"/models": openrouter_list(openrouter_model("a/one"), openrouter_model("a/two"))}
    with catalogue_server(routes) as server:
        provider_at(server.url)
        catalogue_refresh(provider="lan")
        routes["/models"] = openrouter_list(openrouter_model("a/one"), total=2)
        assert catalogue_refresh(provider="lan").gone == 0


def test_a_failure_is_noted_without_the_key_and_keeps_when_it_was_read_last(settings):
    settings.MODEL_KEYS = {"LAN": "sk-never-to-be-shown"}
    routes = {"/models": openai_list("one")}
    with catalogue_server(routes) as server:
        row = provider_at(server.url, dialect="plain")
        row.key_variable = "LLM_API_KEY_LAN"
        row.save()
        catalogue_refresh(provider="lan")
        read_at = CatalogueRead.objects.get().at
        routes["/models"] = (401, {"error": "sk-never-to-be-shown is bad"})
        assert "refuses the key" in catalogue_refresh(provider="lan").fault
    noted = CatalogueRead.objects.get()
    assert noted.at == read_at
    assert "sk-never" not in noted.fault


def test_a_provider_without_its_key_is_told_and_nobody_is_asked(settings):
    settings.OPENAI_API_KEY = None
    assert catalogue_refresh(provider="openai").fault == "openai cannot be asked: set OPENAI_API_KEY."


def test_what_is_asked_of_openrouter_is_looked_up_at_the_base_url(settings):
    with catalogue_server({"/models": openrouter_list(openrouter_model(GROK))}) as server:
        settings.LLM_BASE_URL = server.url
        assert catalogue_refresh(provider="openrouter").provider == "local"
    assert model_state(f"openrouter/{GROK}").kind is Kind.KNOWN
    assert model_state(f"local/{GROK}").kind is Kind.KNOWN
    settings.LLM_BASE_URL = None
    assert model_state(f"openrouter/{GROK}").kind is Kind.UNREAD


# -- what is known ----------------------------------------------------------------------------------------


def listed(slug, provider="openrouter", **fields):
    CatalogueRead.objects.update_or_create(provider=provider, defaults={"at": timezone.now()})
    return CatalogueModel.objects.create(provider=provider, slug=slug, **fields)


def test_the_catalogue_goes_before_the_list_price_and_a_routing_variant_has_the_price_of_its_model():
    known = CatalogueKnown()
    assert known.price("openrouter", GROK) == Price(Decimal("1.25"), Decimal("2.5"))
    assert known.canonical("openrouter", GROK) == ""
    known.forget()
    listed(GROK, input_price=Decimal(3), output_price=Decimal(4), canonical_slug=f"{GROK}-20260430")
    listed(f"{GROK}:free", input_price=Decimal(0), output_price=Decimal(0))
    assert (
        known.price("openrouter", GROK) == known.price("openrouter", f"{GROK}:nitro") == Price(Decimal(3), Decimal(4))
    )
    assert known.price("openrouter", f"{GROK}:free") == Price(Decimal(0), Decimal(0))
    assert known.canonical("openrouter", GROK) == f"{GROK}-20260430"
    assert known.price("openrouter", "nobody/knows") is None


def test_each_thing_is_one_query_and_then_remembered(django_assert_num_queries):
    listed(GROK, input_price=Decimal(3), output_price=Decimal(4))
    known = catalogue_known()
    with django_assert_num_queries(2):
        for _ in range(3):
            known.price("openrouter", GROK)
            known.canonical("openrouter", GROK)
            known.usual_seconds("openrouter", GROK)


def test_the_usual_time_is_the_median_of_the_last_answers_late_ones_among_them():
    bot = make_bot()

    def took(milliseconds, **fields):
        fields = {"outcome": "answered", "provider": "openrouter", "model_requested": GROK, **fields}
        return Interaction.objects.create(bot=bot, latency_ms=milliseconds, **fields)

    assert CatalogueKnown().usual_seconds("openrouter", GROK) == 0.0
    took(90_000, used=False)
    took(90_000, model_requested="another/model")
    took(90_000, provider="xai")
    given_up = took(30_000, outcome="no_answer")
    took(2_000)
    took(4_000)
    assert CatalogueKnown().usual_seconds("openrouter", GROK) == 3.0
    took(41_000, used=False, late_of=given_up)
    assert CatalogueKnown().usual_seconds("openrouter", GROK) == 4.0


def test_all_models_of_a_bot_are_looked_up_in_two_queries(django_assert_num_queries):
    from decisions.selectors.models_asked import model_states

    listed("a/one")
    listed("two", provider="openai")
    with django_assert_num_queries(2):
        states = model_states(["openrouter/a/one", "openai/two", "openrouter/a/three", "rules/trend"])
    assert [state.kind for state in states.values()] == [Kind.KNOWN, Kind.KNOWN, Kind.UNKNOWN, Kind.RULES]


def test_all_models_that_a_bot_names_are_looked_after_each_once():
    bot = make_bot(
        model=f"openrouter/{GROK}",
        fallback_models=["openrouter/c/d", "openai/e"],
        ensemble_models=["openai/e", "lan/f"],
        shadow_models=["xai/grok-4.7"],
    )
    assert models_of(bot) == [f"openrouter/{GROK}", "openrouter/c/d", "openai/e", "lan/f", "xai/grok-4.7"]


# -- alerts -----------------------------------------------------------------------------------------------


def told():
    return [(alert.account.name, alert.message) for alert in Alert.objects.order_by("pk")]


def test_a_model_that_is_unknown_gone_ending_or_retired_is_told_once_a_day_for_an_account():
    today = timezone.now().date()
    listed("a/gone", gone_at=timezone.now())
    listed("a/ending", expires=today + timedelta(days=13))
    listed("a/fine", expires=today + timedelta(days=30))
    for name in ("gone", "ending", "fine", "unknown"):
        make_bot(name, model=f"openrouter/a/{name}", status="running")
    make_bot("old", model="openrouter/x-ai/grok-4", status="paused")
    make_bot("idle", model="openrouter/a/unknown")
    make_bot("second", model="rules/trend", status="running", shadow_models=["openrouter/a/gone"])
    for _ in range(2):
        assert len(models_watch()) == 4
    assert {account for account, _ in told()} == {"gone", "ending", "unknown", "old", "second"}
    assert len(told()) == 5
    assert {alert.type for alert in Alert.objects.all()} == {EventType.MODEL_FAILING}
    assert any("in 13 days" in message for _, message in told())
    models_watch(now=timezone.now() + timedelta(hours=25))
    assert sum(alert.count for alert in Alert.objects.all()) == 10


def test_a_catalogue_that_was_never_read_tells_nothing():
    make_bot(model="openrouter/a/b", status="running")
    assert models_watch() == []


def test_the_task_asks_hourly_who_is_used_and_daily_who_could_be(settings):
    routes = {"/models": openai_list("one")}
    with catalogue_server(routes) as used, catalogue_server(routes) as other:
        provider_at(used.url, "used", "plain")
        provider_at(other.url, "other", "plain")
        make_bot(model="used/one", status="running")
        catalogues_keep()
        assert (len(used.paths), len(other.paths)) == (1, 1)
        catalogues_keep()
        assert (len(used.paths), len(other.paths)) == (1, 1), "not again within the hour"
        CatalogueRead.objects.update(tried_at=timezone.now() - timedelta(minutes=55))
        catalogues_keep()
        assert (len(used.paths), len(other.paths)) == (2, 1)
        CatalogueRead.objects.update(tried_at=timezone.now() - timedelta(hours=24))
        catalogues_keep()
        assert (len(used.paths), len(other.paths)) == (3, 2)


def test_without_a_key_and_a_model_nobody_is_asked():
    make_bot(status="running")
    assert catalogues_keep() == []


def test_bots_that_are_stopped_ask_nothing():
    make_bot("idle", model="openrouter/a/b")
    account = make_account("two")
    running = make_bot("runs", account=account, model="openrouter/a/b", status="running")
    assert bots_by_model() == {"openrouter/a/b": [running]}


# -- the list ---------------------------------------------------------------------------------------------


def test_presets_are_offered_where_no_catalogue_was_read_and_the_catalogue_where_one_was():
    names = [name for name, _ in choices()]
    assert {"openrouter/x-ai/grok-4.3", "anthropic/claude-sonnet-5"} <= set(names)
    listed("z/only", title="Only", input_price=Decimal("0.5"), output_price=Decimal(1), context=200_000)
    listed(GROK, expires=date(2099, 1, 1), supported=["structured_outputs", "response_format"])
    offered = dict(choices())
    assert "openrouter/openai/gpt-5.6-luna" not in offered, "the catalogue of openrouter does not list it"
    assert offered["openrouter/z/only"] == "$0.5 in, $1 out per million · context 200k"
    assert offered[f"openrouter/{GROK}"] == "$1.25 in, $2.5 out per million · ends 01 Jan 2099 · takes a schema"
    assert "anthropic/claude-sonnet-5" in offered


def test_a_catalogue_of_names_is_shown_with_list_prices():
    listed("claude-sonnet-5", provider="anthropic")
    listed("claude-unheard-of", provider="anthropic")
    offered = dict(choices())
    assert offered["anthropic/claude-sonnet-5"] == "$2 in, $10 out per million"
    assert offered["anthropic/claude-unheard-of"] == ""


def test_a_search_finds_by_every_word():
    listed("x-ai/grok-4.7")
    listed("x-ai/grok-4.3")
    assert [line.name for line in model_lines(provider="openrouter", search="grok 4.7")] == ["openrouter/x-ai/grok-4.7"]


def test_the_command_shows_what_is_stored_without_a_network_and_reads_when_it_is_told_to(capsys):
    routes = {"/models": openrouter_list(openrouter_model(GROK), openrouter_model("openai/gpt-4"))}
    with catalogue_server(routes) as server:
        provider_at(server.url)
        call_command("models", provider="lan")
        assert "No model is known at lan: read a catalogue by --refresh." in capsys.readouterr().out
        assert server.paths == []
        call_command("models", provider="lan", refresh=True)
        shown = capsys.readouterr().out
        assert "2 models, 2 new, 0 gone" in shown
        assert f"lan/{GROK}" in shown
        assert "1.05M" in shown
        call_command("models", "grok", provider="lan", json=True)
        (model,) = json.loads(capsys.readouterr().out)
        assert (model["input_price"], model["schema"], model["state"]) == ("1.2500000000", True, "known")
        routes["/models"] = (503, {})
        with pytest.raises(CommandError, match="answers 503"):
            call_command("models", provider="lan", refresh=True)
        with pytest.raises(CommandError, match="no provider 'nobody'"):
            call_command("models", provider="nobody", refresh=True)


def test_the_command_says_why_it_lists_nothing(capsys):
    listed("x-ai/grok-4.7")
    call_command("models", "gork")
    assert "No model at any provider has 'gork' in its name." in capsys.readouterr().out
    with pytest.raises(CommandError, match=r"no provider 'opnrouter'. Known are .*openrouter"):
        call_command("models", provider="opnrouter")


def test_a_retired_name_in_a_catalogue_is_listed_with_its_successor():
    listed("openai/gpt-4")
    (line,) = model_lines(search="gpt-4", provider="openrouter")
    assert "openrouter/openai/gpt-5.6-terra" in line.note


def test_reading_the_list_costs_few_queries(django_assert_num_queries):
    for number in range(30):
        listed(f"a/{number}")
    with django_assert_num_queries(2):
        choices()
