"""Texts that a person would call the same have one key, and an index that knows its pieces finds every word in it."""

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.text_keys import pieces, place_key, text_key, words_of


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("STRASSE straße STRAẞE", "strasse strasse strasse"),
        ("Café", "cafe"),
        ("ΟΔΥΣΣΕΎΣ ὀδυσσεύς", "οδυσσευσ οδυσσευσ"),
        ("İstanbul ISTANBUL ısı", "istanbul istanbul isi"),
        ("Ｆｕｌｌ ﬁt Ⅳ", "full fit iv"),
        ("Łódź Þór Øre", "lodz thor ore"),
        ("“Don’t”", '"don\'t"'),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        # Where marks are letters they stay.
        ("ガラス", "ガラス"),
        ("हिन्दी", "हिन्दी"),
        ("ไทย ที่", "ไทย ที่"),
        ("한국", "한국"),
    ],
)
def test_what_a_person_would_call_the_same_has_one_key(text: str, key: str) -> None:
    for form in ("NFC", "NFD"):
        assert text_key(normalize(form, text)) == normalize("NFC", key)


def test_a_place_is_the_same_however_it_is_spaced() -> None:
    assert place_key(" São\u00a0 Paulo ") == "sao paulo"
    assert place_key(None) is None


@settings(deadline=None)
@given(st.text())
def test_a_key_has_itself_as_its_key_in_whatever_form_the_text_came(text: str) -> None:
    key = text_key(text)
    assert text_key(key) == key
    assert text_key(normalize("NFD", text)) == text_key(normalize("NFC", text)) == key


@given(st.text(st.sampled_from("aßÉσç éx\n東京1%'"), max_size=30), st.integers(0, 30), st.integers(1, 12))
def test_a_word_that_occurs_in_a_text_has_no_pieces_that_the_text_has_not(text: str, start: int, length: int) -> None:
    key = text_key(text)
    for word in words_of(key[start : start + length]):
        assert set(pieces([word])) <= set(pieces(key.split()))


def test_a_short_word_has_pieces_where_words_are_short() -> None:
    assert pieces(["ab"]) == []
    assert len(pieces(["abc"])) == len(pieces(["東京"])) == 1
    assert all(-(2**31) <= piece < 2**31 for piece in pieces(["abcdefgh", "東京フィル"]))
