"""Texts without a trace of a secret are not searched, and none is left out that a search would have changed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vibex.lib.masking import _may_hold_one, _searched, mask_text

NAMES = [
    *(
        "secret",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "api_key",
        "apikey",
        "access-key",
        "private_key",
        "signing key",
    ),
    *("signingkey", "signature", "authorization", "credential", "cookie", "mnemonic", "seed phrase", "recovery words"),
    *("token", "tokens", "key", '"key"', "backup", "bearer ", "basic ", "sk-", "rk_", "eyJ", "https://user:pw@host"),
]
LOOKALIKES = {"s": "ſ", "k": "\u212a", "i": "ı", "I": "İ"}
"""What a pattern that ignores case takes for these letters."""


def disguised(name: str) -> st.SearchStrategy[str]:
    letters = [
        st.sampled_from([char, char.upper(), LOOKALIKES.get(char, char), "İ" if char == "i" else char]) for char in name
    ]
    return st.tuples(*letters).map("".join)


pieces = st.one_of(
    st.sampled_from(NAMES).flatmap(disguised),
    st.sampled_from(
        [":", "=", '"', "'", " ", "\n", "{", "}", "a1b2c3d4e5f6", "0x", "ab" * 32, "abandon ability able about"]
    ),
    st.text(max_size=12),
)


@settings(max_examples=40)
@given(st.lists(pieces, max_size=10).map("".join))
def test_a_text_that_is_not_searched_holds_nothing_that_a_search_would_find(text):
    assert _may_hold_one(text) or _searched(text) == text


def test_what_a_model_says_of_a_market_is_not_searched():
    said = "EMA20 70,912 is above EMA50 70,655 on 15m – ADX 27.4 confirms it; stop 2.0 × ATR14 below the ask."
    assert not _may_hold_one(said)
    assert mask_text(said) == said
