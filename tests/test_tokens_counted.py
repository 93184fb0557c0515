"""Tokens of all recorded prompts, counted by a tokenizer that others wrote: as they were sent, and in both our layouts.

The compact layout has at least 45 % fewer than the text of Alpha Arena that was sent and than our own Arena layout, for
each of the 77. What is compared is what is sent anew with every call; the constant part is counted beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from decisions.domain.money import tokens_in, tokens_of
from decisions.domain.prompt import build_prompt
from decisions.domain.question import Prompt
from decisions.services import SEEDS
from decisions.tests.recorded_prompts import recorded
from tests.oracles.o200k import token_counts
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

SAVED = 0.45
SEED = (SEEDS / "arena.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Counted:
    """Tokens of the changing part of each prompt, and of the constant part of all."""

    sent: list[int]
    arena: list[int]
    compact: list[int]
    arena_constant: int
    compact_constant: int
    prompts: dict[str, list[Prompt]]
    texts: list[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tokenizer is installed, once."""
    return tmp_path_factory.mktemp("o200k")


@pytest.fixture(scope="module")
def counted(shared_data, folder) -> Counted:
    rows = recorded(shared_data)
    prompts = {name: [build_prompt(row.in_layout(name), SEED) for row in rows] for name in ("arena", "compact")}
    assert all(len({prompt.system for prompt in each}) == 1 for each in prompts.values())
    originals = [row.text for row in rows]
    texts = originals + [prompt.user for each in prompts.values() for prompt in each]
    texts += [each[0].system for each in prompts.values()]
    counts = token_counts(texts, folder)
    size = len(rows)
    sent, arena, compact = (counts[place * size : (place + 1) * size] for place in range(3))
    return Counted(sent, arena, compact, *counts[-2:], prompts, originals)


def test_the_tokenizer_is_the_one_that_the_research_counted_with(folder):
    assert token_counts(["78.203", "78.2", "78", "113912.5", "1.25e-05"], folder) == [3, 3, 1, 4, 6]


def test_each_recorded_prompt_has_at_least_45_percent_fewer_tokens_in_the_compact_layout(counted):
    assert len(counted.sent) == 77
    for sent, arena, compact in zip(counted.sent, counted.arena, counted.compact, strict=True):
        assert compact <= (1 - SAVED) * arena
        assert compact <= (1 - SAVED) * sent


def test_our_arena_layout_says_more_than_the_original_in_fewer_tokens(counted):
    assert sum(counted.arena) < sum(counted.sent)


def test_the_estimate_without_a_tokenizer_is_near_the_truth_for_whole_prompts(counted):
    for name, constant in (("arena", counted.arena_constant), ("compact", counted.compact_constant)):
        for prompt, changing in zip(counted.prompts[name], getattr(counted, name), strict=True):
            assert 0.9 <= tokens_of(prompt) / (constant + changing) <= 1.15
    assert 0.85 <= sum(map(tokens_in, counted.texts)) / sum(counted.sent) <= 1.15


def test_the_counts_in_the_documentation_are_these(counted):
    """docs/prompts.md has a table of them."""
    page = (ROOT / "docs/prompts.md").read_text(encoding="utf-8")
    mean = {
        name: round(sum(each) / 77)
        for name, each in (("sent", counted.sent), ("arena", counted.arena), ("compact", counted.compact))
    }
    wanted = [mean["sent"], mean["arena"], mean["compact"], counted.arena_constant, counted.compact_constant]
    missing = [number for number in wanted if f"{number:,}" not in page]
    assert not missing, json.dumps(wanted)
