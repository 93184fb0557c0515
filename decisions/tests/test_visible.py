"""Text of others is shown so that all of it can be seen, and laid out without a change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.visible import content_of, indented, plain, size_of, visible

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_what_cannot_be_seen_stands_there_by_its_number():
    assert visible("a\u202eb\x1b[31mc\u200d\x00") == "a⟦U+202E⟧b⟦U+001B⟧[31mc⟦U+200D⟧⟦U+0000⟧"
    assert visible("two\r\nlines\tand a tab") == "two\nlines\tand a tab"


@given(st.text())
def test_nothing_is_lost_and_nothing_invisible_is_left(text):
    shown = visible(text)
    assert all(char.isprintable() or char in "\n\t" or char.isspace() for char in shown)
    if text.isprintable():
        assert shown == text


@given(values.filter(lambda value: isinstance(value, list | dict)))
def test_laying_out_changes_white_space_only(value):
    text = json.dumps(value)
    assert json.loads(indented(text)) == value
    assert json.loads(indented(indented(text))) == value


def test_a_key_that_stands_twice_and_numbers_stay_as_written():
    assert indented('{"a":1.50,"a":-0,"b":[]}') == '{\n  "a": 1.50,\n  "a": -0,\n  "b": []\n}'


@given(st.text(alphabet='{}[]",:\\ a1'))
def test_no_text_is_too_broken_to_be_laid_out(text):
    shown = indented(text)
    assert not shown or shown.replace(" ", "").replace("\n", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        ('{"choices": [{"message": {"content": "hello"}}]}', "hello"),
        ('{"choices": [{"message": {"content": null}}]}', ""),
        ('{"choices": []}', ""),
        ("<html>", ""),
        ("[" * 100_000, ""),
        ('"choices"', ""),
        ("", ""),
    ],
)
def test_the_content_of_a_reply_is_found_or_left_out(reply, content):
    assert content_of(reply) == content


@pytest.mark.parametrize(("count", "words"), [(3, "3 characters"), (25_400, "25 kB"), (1_040_000, "1.0 MB")])
def test_sizes_in_words(count, words):
    assert size_of(count) == words


def test_parameters_as_a_person_reads_them():
    assert [plain(value) for value in (None, True, "low", 4000, ["a"])] == ["–", "yes", "low", "4000", '["a"]']
