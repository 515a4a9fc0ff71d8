"""What counts as text, an instant, an id and a number, wherever it is sent."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from api.inputs import Body, Currency, Id, Instant, MinPosition, Text
from domain.refusals import spoken

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
    assert TypeAdapter(Annotated[str, Text(1, 5, trimmed=False)]).validate_python(" a ") == " a "


@pytest.mark.parametrize("value", ["", "   ", "123456", "a\0b", "\ud800", "a\udfffb", "\ud83c\udfab", 5, None, b"abc"])
def test_what_is_no_text_to_store_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Annotated[str, Text(1, 5)], config={"strict": True}).validate_python(value)


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
