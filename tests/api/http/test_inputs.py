"""What counts as text, an instant, an id and a number, wherever it is sent."""

from datetime import UTC, datetime
from typing import Annotated, Any
from unicodedata import normalize
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from api.http.inputs import Body, Currency, Id, Instant, MinPosition, Text
from domain.errors import spoken
from domain.stock.type_names import same_looking

INSTANT = TypeAdapter(Instant)
TEXT = TypeAdapter(Annotated[str, Text(1, 5)])


class Order(Body):
    """One field of each simple type."""

    quantity: int = 1
    wanted: bool = False
    currency: Currency = "EUR"
    id: Id = UUID(int=0)
    note: Annotated[str, Text(0, 5)] = ""


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-05-01T19:30:00Z", datetime(2030, 5, 1, 19, 30, tzinfo=UTC)),
        ("2030-05-01t19:30:00z", datetime(2030, 5, 1, 19, 30, tzinfo=UTC)),
        ("2030-05-01T19:30:00+02:00", datetime(2030, 5, 1, 17, 30, tzinfo=UTC)),
        ("2030-05-01T19:30:00.25-00:30", datetime(2030, 5, 1, 20, 0, 0, 250_000, UTC)),
        ("2030-05-01T19:30:00.123456789Z", datetime(2030, 5, 1, 19, 30, 0, 123_456, UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2199-12-31T23:59:59Z", datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_instant_is_rfc_3339_and_becomes_utc(text: str, instant: datetime) -> None:
    read = INSTANT.validate_python(text)
    assert read == instant
    assert read.utcoffset() == instant.utcoffset()


@pytest.mark.parametrize(
    "value",
    [
        "2030-05-01T19:30:00", "2030-05-01T19:30Z", "2030-05-01", "2030-05-01 19:30:00Z", "2030-05-01T19:30:00 02:00",
        "2030-05-01T19:30:00+0200", "2030-05-01T24:00:00Z", "2030-05-01T19:30:60Z", "2030-02-30T00:00:00Z",
        "2029-02-29T00:00:00Z", "2030-05-01T19:30:00+00:60",
        "2030-05-01T19:30:00-24:00", "2030-13-01T00:00:00Z", "2030-05-01T19:30:00+24:00", "2030-05-01T19:30:00.Z",
        "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
        "2000-01-01T00:00:00+01:00", "2199-12-31T23:59:59-01:00", "２０３０-05-01T19:30:00Z", "1900000000", "now", "",
        " 2030-05-01T19:30:00Z", "2030-05-01T19:30:00Z\n", 1_900_000_000, 1.9e9, True, None, [], "2030-W18-3T19:30:00Z",
    ],
)  # fmt: skip
def test_what_is_no_instant_with_an_offset_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_python(value)


def test_instants_are_shown_in_utc_with_z() -> None:
    read = INSTANT.validate_python("2030-05-01T19:30:00.5+02:00")
    assert spoken(read) == "2030-05-01T17:30:00.500000Z"
    assert INSTANT.dump_json(read) == b'"2030-05-01T17:30:00.500000Z"'
    assert INSTANT.dump_python(INSTANT.validate_python("2030-05-01T00:00:00Z")) == "2030-05-01T00:00:00Z"


def test_text_is_trimmed_before_it_is_measured() -> None:
    assert TEXT.validate_python("  \n abc \t ") == "abc"
    assert TEXT.validate_python(" 12345 ") == "12345"
    assert TEXT.validate_python("🎫🎫🎫🎫🎫") == "🎫🎫🎫🎫🎫"
    assert TypeAdapter(Annotated[str, Text(1, 5, as_typed=True)]).validate_python(" a ") == " a "


@pytest.mark.parametrize("value", ["", "   ", "123456", "a\0b", "\ud800", "a\udfffb", "\ud83c\udfab", 5, None, b"abc"])
def test_what_is_no_text_to_store_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Annotated[str, Text(1, 5)], config={"strict": True}).validate_python(value)


UNSEEN = {
    "control": "a\x07b", "escape": "a\x1b[31m", "C1 control": "a\x9bb", "delete": "a\x7f", "line break": "a\nb",
    "tab": "a\tb", "line separator": "a\u2028b", "zero-width space": "a\u200bb", "soft hyphen": "a\u00adb",
    "byte order mark": "a\ufeffb", "override": "a\u202eb", "embedding": "a\u202ab", "isolate": "a\u2066b\u2069",
    "mark of direction": "a\u200fb", "word joiner": "a\u2060b", "grapheme joiner": "a\u034fb", "tag": "a\U000e0041",
    "invisible plus": "a\u2064b", "Hangul filler alone": "\u3164", "Braille blank alone": "\u2800",
    "mark alone": "\u0301", "zero-width space alone": "\u200b", "selector alone": "\ufe0f",
    "joiner between letters": "a\u200db", "non-joiner between letters": "a\u200cb", "joiner at the end": "🙂\u200d",
    "joiner after emoji": "🙂\u200da",
    "selector after a letter": "a\ufe0f", "selector after a space": "a \ufe0fb", "selector of nothing": "\u200b\ufe0f",
    "joiner beside a control": "\x07\u200db", "joiner first": "\u200c", "joiner twice": "🙂\u200d\u200d🙂",
}  # fmt: skip
SEEN = [
    "Ａ１", "naïve", "José", "東京\u3000公演", "a\u00a0b", "👩\u200d💻", "🏳\ufe0f\u200d🌈", "❤\ufe0f\u200d🔥",
    "👍🏽", "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "ℹ\ufe0f", "™\ufe0f", "می\u200cخواهم", "ക്\u200d",
    "क्\u200dष", "葛\U000e0100", "᠊ᠠ\u180b", "\u0600١٢", "\U0001fae9", "\uf8ff", "é̂", "שָׁלוֹם", "สวัสดี",
]  # fmt: skip


@pytest.mark.parametrize("what", UNSEEN)
def test_a_name_has_nothing_in_it_that_cannot_be_seen(what: str) -> None:
    with pytest.raises(ValidationError, match="seen"):
        TypeAdapter(Annotated[str, Text(1, 50)]).validate_python(UNSEEN[what])


@pytest.mark.parametrize("name", SEEN)
def test_a_name_in_any_script_is_taken(name: str) -> None:
    assert TypeAdapter(Annotated[str, Text(1, 50)]).validate_python(name) == normalize("NFC", name)


def test_running_text_has_lines_and_what_they_need() -> None:
    running = TypeAdapter(Annotated[str, Text(0, 50, running=True)])
    for text in ("", "a\r\n\tb", "Donau\u00addampf", "a\u200bb", "\u2067שלום\u2069", "C++\u200f", *SEEN):
        assert running.validate_python(text) == normalize("NFC", text)
    for text in ("a\x1b[31m", "a\u202eb", "a\u202ab", "a\x00", "a\x85b", "a\u200db", "a\ufff9b", "\u3164"):
        with pytest.raises(ValidationError):
            running.validate_python(text)


def test_text_is_composed_before_it_is_measured() -> None:
    assert TEXT.validate_python("e\u0301" * 5) == "é" * 5
    assert TEXT.validate_python("\u1f82") == TEXT.validate_python("α\u0313\u0300\u0345") == "\u1f82"
    with pytest.raises(ValidationError):
        TEXT.validate_python("e\u0301" * 6)
    with pytest.raises(ValidationError, match="at most 5 characters"):
        TEXT.validate_python("e\u0301" * 500)


def test_a_run_of_marks_is_refused_before_it_is_sorted() -> None:
    longest = TypeAdapter(Annotated[str, Text(0, 10_000, running=True)])
    assert longest.validate_python("a" + "\u0345" * 30)
    with pytest.raises(ValidationError, match="more than 30 marks"):
        longest.validate_python("a" + "\u0345" * 5_000 + "\u0334" * 4_000)


def test_what_is_typed_in_secret_is_not_changed() -> None:
    secret = TypeAdapter(Annotated[str, Text(1, 50, as_typed=True)])
    for text in (" e\u0301 ", "a\tb", "\u200b"):
        assert secret.validate_python(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VIP", "vip"),
        ("Straße", "STRASSE"),
        ("Café", "Cafe\u0301"),
        ("VIP A", "VIP\u00a0 A"),
        ("ＶＩＰ", "vip"),
        ("a", "a\ufe0f"),
    ],
)
def test_names_that_look_the_same_are_the_same(one: str, other: str) -> None:
    assert same_looking(one) == same_looking(other) != same_looking("VIP B")


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "2"}, {"quantity": 2.0}, {"quantity": True}, {"quantity": None}, {"quantity": 1e3},
        {"wanted": 1}, {"wanted": 0}, {"wanted": "true"}, {"wanted": None},
        {"currency": "eur"}, {"currency": "EURO"}, {"currency": "EUR\n"}, {"currency": "ÄÖÜ"}, {"currency": 978},
        {"id": 5}, {"id": "5"}, {"id": None}, {"id": [1]}, {"id": "g" * 32},
        {"id": UUID(int=7).urn}, {"id": f"{{{UUID(int=7)}}}"}, {"id": UUID(int=7).hex},
        {"note": 5}, {"unheard_of": 1}, {"Quantity": 1},
    ],
)  # fmt: skip
def test_no_value_is_turned_into_another_type(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(fields)


def test_values_of_the_right_type_are_taken() -> None:
    identifier = "019A0000-0000-7000-8000-000000000001"
    order = Order.model_validate({"quantity": 2, "wanted": True, "currency": "XXX", "id": identifier, "note": " a "})
    assert order == Order(quantity=2, wanted=True, currency="XXX", id=UUID(identifier), note="a")


@pytest.mark.parametrize("text", ["2.0", "1_000", " 2", "2 ", "+2", "0x2", "٢", "", "-", "9" * 20, "1e3"])
def test_a_number_in_a_query_has_digits_only(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MinPosition).validate_python(text)
    assert TypeAdapter(MinPosition).validate_python("20") == 20
