"""The difference of two texts says all of both where they differ, and points at the words."""

from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.difference import difference

lines = st.lists(st.sampled_from(["", "a b c", "a b d", "# Head", "x" * 30, "  in"]), max_size=12)


def told(found):
    return [(line.sign, "".join(piece.text for piece in line.pieces)) for line in found]


def test_a_changed_word_is_pointed_out_in_both_lines():
    gone, come = difference("size them well on entry", "size them badly on entry")
    assert [(piece.text, piece.changed) for piece in gone.pieces] == [
        ("size them ", False),
        ("well", True),
        (" on entry", False),
    ]
    assert [piece.text for piece in come.pieces if piece.changed] == ["badly"]
    assert (gone.sign, gone.before, gone.after, come.sign, come.before, come.after) == ("−", 1, None, "+", None, 1)


def test_lines_with_little_in_common_are_replaced_as_a_whole():
    gone, come = difference("buy everything now", "1 2 3 4 5 6 7 8 9")
    assert not any(piece.changed for piece in (*gone.pieces, *come.pieces))


def test_far_equal_lines_are_left_out_and_counted():
    text = "\n".join(f"line {number}" for number in range(20))
    found = told(difference(text, text.replace("line 10", "other 10")))
    assert found[0] == ("…", "8 equal lines")
    assert found[1:3] == [("", "line 8"), ("", "line 9")]
    assert found[-1] == ("…", "7 equal lines")


def test_equal_texts_have_no_difference():
    assert difference("a\nb", "a\nb") == []
    assert difference("", "") == []


@given(before=lines, after=lines)
def test_what_went_and_what_came_are_those_of_the_texts_in_order(before, after):
    found = difference("\n".join(before), "\n".join(after))
    old, new = "\n".join(before).splitlines(), "\n".join(after).splitlines()
    for line in found:
        text = "".join(piece.text for piece in line.pieces)
        if line.before is not None:
            assert old[line.before - 1] == text
        if line.after is not None:
            assert new[line.after - 1] == text
    kept = len(old) - sum(line.sign == "−" for line in found)
    assert kept == len(new) - sum(line.sign == "+" for line in found)
    assert [line.before for line in found if line.before] == sorted(line.before for line in found if line.before)
