"""No text costs more than its length: runs of marks are short, and what text becomes is bounded."""

import unicodedata
from itertools import groupby
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from accounts import passwords
from accounts.email_spelling import sought_email
from api.accounts.schemas import NewEmail, PlainPassword
from api.events.schemas import Description, Title
from api.http.inputs import Place, Text
from domain.stock.runs_of_marks import LONGEST_RUN_OF_MARKS, has_long_run
from domain.stock.type_names import same_looking
from projections.text_keys import LARGEST_KEY_BYTES, LARGEST_PLACE_BYTES, pieces, place_key, text_key, words_of

RUN = "\u094d\u093c" * (LONGEST_RUN_OF_MARKS // 2)
# Each mark is one that has to be sorted before those that it follows, or each character becomes more than one.
COSTLY = {
    "marks": "a" + "\u0300\u0323" * 20_000,
    "marks that are none before they are taken apart": "a" + "\u0f73" * 40_000,
    "marks of half the width": "ガ" + "\uff9e\u0f73" * 20_000,
    "marks with something between them that is not heard": "a" + (RUN + "\u00ad") * 1_300,
    "letters that become eighteen": "\ufdfa" * 40_000,
    "letters with three marks each": "\u1f82" * 40_000,
}
INPUTS = {
    "title": (Title, 200),
    "description": (Description, 10_000),
    "place": (Place, 200),
    "q": (Annotated[str, Text(1, 200, running=True)], 200),
    "username": (Annotated[str, Text(1, 1_000)], 1_000),
    "email": (NewEmail, 254),
    "password": (PlainPassword, 128),
}
# Thirty characters are sixty marks at most, and the letter before them may have three of its own.
LONGEST_SORTED = 2 * LONGEST_RUN_OF_MARKS + 3


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all runs of marks that are normalised, each of which may cost the square of its length."""
    normalize = unicodedata.normalize
    found: list[int] = []

    def counted(form: Any, text: str) -> str:
        apart = "".join(normalize("NFKD", character) for character in text)
        classes = groupby(apart, lambda character: unicodedata.combining(character) > 0)
        found.extend(len(list(run)) for is_mark, run in classes if is_mark)
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counted)
    monkeypatch.setattr(passwords, "normalize", counted)
    return found


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("text", COSTLY)
def test_no_input_makes_the_api_sort_a_long_run(runs: list[int], name: str, text: str) -> None:
    shape, length = INPUTS[name]
    for sent in {COSTLY[text][:n] for n in (31, length // 4, length, 4 * length)}:
        try:
            taken = TypeAdapter(shape).validate_python(f"{sent}@example.com" if name == "email" else sent)
        except ValidationError:
            continue
        for use in (sought_email, same_looking, words_of, place_key) if name in ("q", "username") else ():
            use(taken)
    assert max(runs, default=0) <= (8 * length if name == "password" else LONGEST_SORTED)


@pytest.mark.parametrize("text", COSTLY)
def test_a_password_that_nobody_can_have_is_not_normalised(runs: list[int], text: str) -> None:
    for length in (128, 1_000, 40_000):
        passwords.prepared(COSTLY[text][:length])
    assert max(runs, default=0) <= 8 * passwords.LONGEST_PASSWORD


@pytest.mark.parametrize("text", COSTLY)
def test_what_a_text_is_found_by_is_bounded_and_sorts_no_long_run(runs: list[int], text: str) -> None:
    """Also of a text from before long runs were refused, whatever stands between its marks."""
    key = text_key(COSTLY[text])
    assert len(key.encode()) <= LARGEST_KEY_BYTES
    assert not has_long_run(key)
    assert text_key(key) == key
    assert len(pieces(key.split())) < LARGEST_KEY_BYTES
    assert len((place_key(COSTLY[text]) or "").encode()) <= LARGEST_PLACE_BYTES
    assert max(runs, default=0) <= LONGEST_SORTED


def test_whatever_is_taken_apart_into_marks_counts_as_marks() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    first = {character: unicodedata.normalize("NFKD", character) for character in characters}
    marks = [character for character, apart in first.items() if unicodedata.combining(apart[0])]
    assert len(marks) > 900
    assert [mark for mark in marks if not has_long_run("a" + mark * (LONGEST_RUN_OF_MARKS + 1))] == []
    assert max(len(first[mark]) for mark in marks) == 2


def test_the_longest_description_is_found_by_its_last_word_in_any_alphabet() -> None:
    for letters in ("concert ", "Größe über ", "Οδυσσεύς ", "концерт Йога ", "שָׁלוֹם ", "مُحَمَّد "):
        description = (letters * 10_000)[: 10_000 - 5] + " цена"
        assert text_key(f"{'Ж' * 200}\n{description}").endswith(" цена"), letters
