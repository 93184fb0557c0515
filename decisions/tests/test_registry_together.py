"""Which deciders stand beside a bot's own: each model once, each with its own names, none that keeps others from being asked."""

from dataclasses import replace

import pytest

from decisions.deciders.model import ModelDecider
from decisions.deciders.precedence import After, First
from decisions.deciders.registry import decider_for
from decisions.deciders.rules import RulesDecider
from decisions.deciders.together import EnsembleDecider, ShadowedDecider, Unasked
from decisions.domain.question import Asking
from decisions.tests.asking_kit import Ledger
from decisions.tests.builders import question
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _somewhere(settings):
    settings.LLM_BASE_URL = "http://127.0.0.1:9/v1"


def of(model, *fallbacks, purse=None, **asking):
    bot = replace(question().bot, model=model, fallback_models=fallbacks, asking=Asking(**asking))
    return decider_for(bot, purse=purse)


def names(*deciders):
    return [decider.name for decider in deciders]


def test_alone_a_model_is_itself_with_the_purse_as_it_is():
    purse = Ledger()
    decider = of("local/a", "local/b", purse=purse)
    assert isinstance(decider, ModelDecider)
    assert (decider.models, decider.purse) == (("a", "b"), purse)


def test_an_ensemble_is_the_own_model_and_the_others_once_each():
    decider = of("local/a", ensemble=("local/b", "local/a", "local/c", "local/b"), ensemble_rule="unanimous")
    assert isinstance(decider, EnsembleDecider)
    assert names(*decider.members) == ["local/a", "local/b", "local/c"]
    assert (decider.rule, decider.wants_prompt) == ("unanimous", True)


def test_nobody_has_two_votes_by_way_of_a_fallback():
    decider = of("local/a", "local/b", "local/d", ensemble=("local/b",))
    assert decider.members[0].models == ("a", "d")


def test_only_the_own_model_may_answer_under_the_names_that_the_bot_allows():
    decider = of("local/a", ensemble=("local/b",), shadows=("local/c",), served=("house-of-a",))
    own, other = decider.live.members
    assert "house-of-a" in own.chain[0].also
    assert "house-of-a" not in other.chain[0].also
    assert "house-of-a" not in decider.shadows[0].chain[0].also


def test_shadows_come_after_those_that_decide():
    decider = of("local/a", "local/b", ensemble=("local/c",), shadows=("local/d", "local/d", "local/a"))
    assert isinstance(decider, ShadowedDecider)
    assert names(*decider.shadows) == ["local/d", "local/a"]
    assert (decider.precedence.deciding, decider.precedence.calls) == (2, 3)
    assert {type(each.purse) for each in decider.live.members} == {First}
    assert {type(each.purse) for each in decider.shadows} == {After}
    assert {each.turn for each in decider.shadows} == {decider.precedence.turn_after}


def test_rules_may_have_shadows_and_reserve_nothing():
    decider = of("rules/trend", shadows=("local/a", "rules/hold"))
    assert isinstance(decider.live, RulesDecider)
    assert (decider.precedence.deciding, decider.precedence.calls) == (0, 0)
    assert (decider.wants_prompt, decider.needs_prompt) == (True, False)


@pytest.mark.parametrize("name", ["nobody/x", "rules/astrology", "gpt-5", ""])
def test_one_beside_that_cannot_be_asked_keeps_nobody_from_being_asked(name):
    decider = of("local/a", ensemble=("local/b", name), shadows=(name,))
    missing = decider.live.members[2]
    assert isinstance(missing, Unasked)
    assert missing.name == name
    assert isinstance(decider.shadows[0], Unasked)
    assert len(decider.live.members) == 3, "it was asked all the same: it counts"


def test_an_own_model_that_cannot_be_asked_is_refused_as_ever():
    with pytest.raises(Rejected, match="rules/trend"):
        of("nobody/x", ensemble=("local/b",), shadows=("local/c",))
