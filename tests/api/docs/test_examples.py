"""Every body, answer and problem of the OpenAPI document has an example, and each is what it stands for."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.routing import APIRoute
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from pydantic import TypeAdapter

from api.app import ApiConfig, create_app
from api.docs.example_values import BY_NAME
from api.docs.examples import add_examples
from tests.api.conftest import JWT_SECRET

PREFIX = "/box-office"


@pytest.fixture(scope="module")
def app() -> Any:
    """The application behind a proxy's prefix, which problem types have to keep; it needs no database."""
    return create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret=JWT_SECRET, root_path=PREFIX))


@pytest.fixture(scope="module")
def document(app: Any) -> Any:
    return json.loads(json.dumps(app.openapi()))


def contents(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent and answered, with what it is called."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            of_body = operation.get("requestBody", {}).get("content", {})
            yield from ((f"body of {method} {path}", content) for content in of_body.values())
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    yield f"{status} {media_type} of {method} {path}", content


def examples(content: dict[str, Any]) -> list[Any]:
    shown = [one["value"] for one in content.get("examples", {}).values()]
    return [*shown, content["example"]] if "example" in content else shown


def test_everything_has_an_example(document: Any) -> None:
    assert add_examples(document, PREFIX) == []
    assert [name for name, content in contents(document) if not examples(content)] == []


def test_every_example_is_valid(document: Any) -> None:
    components = {"components": document["components"]}
    for name, content in contents(document):
        validator = OAS31Validator(content["schema"] | components, format_checker=oas31_format_checker)
        for example in examples(content):
            wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(example)]
            assert wrong == [], f"{name}: {example}"


def test_every_body_is_taken_as_it_is_shown(app: Any, document: Any) -> None:
    routes = [route for router in app.state.routers for route in router.routes if isinstance(route, APIRoute)]
    taken = 0
    for route in routes:
        for method in route.methods if route.body_field else ():
            ((media_type, content),) = document["paths"][route.path][method.lower()]["requestBody"]["content"].items()
            if media_type == "application/json":
                body = TypeAdapter(route.body_field.field_info.annotation).validate_json(json.dumps(content["example"]))
                assert body is not None, route.path
                taken += 1
    assert taken > 5


def test_what_is_counted_in_an_example_adds_up(document: Any) -> None:
    event = document["paths"]["/events/{event_id}"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    for name in ("starts_at", "ends_at", "sales_open_at", "sales_close_at"):
        local = datetime.fromisoformat(event[name]).astimezone(ZoneInfo(event["time_zone"]))
        assert event[f"{name}_local"] == local.isoformat()
    (offer,) = event["ticket_types"]
    assert offer["available"] == offer["capacity"] - offer["reserved"] - offer["paid"] > 0
    reservation = document["paths"]["/reservations"]["post"]["responses"]["201"]["content"]["application/json"]
    assert reservation["example"]["amount_minor"] == offer["amount_minor"] * reservation["example"]["quantity"]
    assert (reservation["example"]["event_id"], reservation["example"]["ticket_type_id"]) == (event["id"], offer["id"])


def test_an_answer_that_shows_what_a_route_did_differs_in_that_alone(document: Any) -> None:
    def example(path: str) -> dict[str, Any]:
        answer = document["paths"][path]["post"]["responses"]
        shown: dict[str, Any] = answer.get("200", answer.get("201"))["content"]["application/json"]["example"]
        return shown

    reserved, paid = example("/reservations"), example("/reservations/{reservation_id}/pay")
    cancelled = example("/events/{event_id}/cancel")
    assert (cancelled["status"], cancelled["on_sale_changes_at"]) == ("cancelled", None)
    assert paid.items() - reserved.items() == {
        ("status", "paid"),
        ("paid_at", "2030-05-01T19:29:00Z"),
        ("payment_reference", "invoice 17"),
    }


def test_a_field_without_an_example_is_named_with_what_to_do() -> None:
    schema = {"properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Hall"}}}}
    document = {
        "components": {"schemas": {"Hall": schema}},
        "paths": {"/halls": {"get": {"responses": {"200": answer}}}},
    }
    (missing,) = add_examples(document)
    assert missing == (
        "Hall.seats has no example: give it `examples=[…]` where it is declared, or its name one in "
        "api/docs/example_values.py."
    )
    assert "example" not in answer["content"]["application/json"]


def test_every_name_that_has_an_example_is_a_fields(document: Any) -> None:
    fields = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", ())}
    assert BY_NAME.keys() - fields == set(), "take it out of api/docs/example_values.py"
