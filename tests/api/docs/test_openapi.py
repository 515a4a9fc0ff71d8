"""The OpenAPI document tells the truth: every route, every problem it can give, and a login for /docs."""

import json
import re
from itertools import groupby
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from accounts.api_keys import SCOPES
from api.app import ApiConfig, create_app
from api.http.problems import PROBLEM_TYPES, schema_name
from tests.api.conftest import JWT_SECRET

METHODS_AND_PATHS = {
    "POST /auth/register": {201, 409, 408, 413, 422, 429, 500, 503, 400, 415},
    "POST /auth/login": {200, 401, 408, 413, 422, 429, 500, 503, 415},
    "POST /auth/refresh": {200, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    "POST /auth/logout": {204, 401, 413, 422, 429, 500, 503},
    "POST /auth/logout-everywhere": {204, 401, 413, 422, 429, 500, 503},
    "GET /auth/me": {200, 401, 413, 422, 429, 500, 503},
    "GET /auth/api-keys": {200, 401, 413, 422, 429, 500, 503},
    "POST /auth/api-keys": {201, 400, 401, 408, 409, 413, 415, 422, 429, 500, 503},
    "DELETE /auth/api-keys/{key_id}": {204, 401, 404, 413, 422, 429, 500, 503},
    "PATCH /auth/me": {200, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    "PUT /auth/password": {204, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503},
    "PUT /auth/email": {200, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503},
    "POST /auth/password-reset": {204, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    "DELETE /auth/me": {204, 401, 413, 422, 429, 500, 503},
    "POST /events": {201, 400, 401, 409, 408, 413, 422, 429, 500, 503, 415},
    "GET /events": {200, 304, 401, 413, 422, 429, 500, 503},
    "GET /events/for-you": {200, 401, 413, 422, 429, 500, 503},
    "GET /events/{event_id}": {200, 304, 401, 404, 413, 422, 429, 500, 503},
    "PATCH /events/{event_id}": {200, 400, 401, 403, 404, 409, 408, 412, 413, 422, 429, 500, 503, 415},
    "POST /events/{event_id}/cancel": {200, 400, 401, 403, 404, 408, 412, 413, 422, 429, 500, 503, 415},
    "POST /events/{event_id}/ticket-types": {201, 400, 401, 403, 404, 409, 408, 412, 413, 422, 429, 500, 503, 415},
    "POST /events/{event_id}/withhold": {200, 400, 401, 403, 404, 409, 408, 412, 413, 422, 429, 500, 503, 415},
    "POST /events/{event_id}/return": {200, 400, 401, 403, 404, 409, 408, 412, 413, 422, 429, 500, 503, 415},
    "GET /events/{event_id}/reservations": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "POST /events/{event_id}/reservations/{reservation_id}/cancel": {
        200, 400, 401, 403, 404, 409, 408, 413, 422, 429, 500, 503, 415,
    },
    "POST /reservations": {201, 400, 401, 404, 409, 408, 413, 422, 429, 500, 503, 415},
    "GET /reservations": {200, 401, 413, 422, 429, 500, 503},
    "GET /reservations/{reservation_id}": {200, 401, 404, 413, 422, 429, 500, 503},
    "POST /reservations/{reservation_id}/pay": {200, 400, 401, 404, 409, 408, 413, 422, 429, 500, 503, 415},
    "POST /reservations/{reservation_id}/extend": {200, 400, 401, 404, 409, 408, 413, 422, 429, 500, 503, 415},
    "POST /reservations/{reservation_id}/cancel": {200, 400, 401, 404, 409, 408, 413, 422, 429, 500, 503, 415},
    "GET /audit/accounts": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /audit/domain-events": {200, 401, 403, 413, 422, 429, 500, 503},
    "GET /audit/events/{event_id}/as-of": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /audit/events/{event_id}/buyers/{buyer_id}": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /audit/events/{event_id}/story": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /audit/reads": {200, 401, 403, 413, 422, 429, 500, 503},
    "GET /audit/refused-attempts": {200, 401, 403, 413, 422, 429, 500, 503},
    "GET /audit/reservations/{reservation_id}": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /audit/seals": {200, 401, 403, 413, 422, 429, 500, 503},
    "GET /analytics/events/{event_id}/sales": {200, 401, 403, 404, 413, 422, 429, 500, 503},
    "GET /health/live": {200, 413, 422, 500},
    "GET /health/ready": {200, 413, 422, 500, 503},
    "GET /problems": {200, 413, 422, 500},
    "GET /problems/{code}": {200, 404, 413, 422, 500},
}  # fmt: skip

BEFORE_ROUTING = {"method-not-allowed", "malformed-request", "headers-too-large", "too-many-connections"}


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as clients read it; it needs no database."""
    app = create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret=JWT_SECRET))
    return json.loads(json.dumps(app.openapi()))


def operations(document: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_shows_its_statuses(document: Any) -> None:
    shown = {name: {int(status) for status in one["responses"]} for name, one in operations(document).items()}
    # A key may not do everything; what anybody may read it may.
    for_keys = {name for name, one in operations(document).items() if {} not in one.get("security", [{}])}
    assert shown == {name: told | {403} if name in for_keys else told for name, told in METHODS_AND_PATHS.items()}


def test_every_problem_is_documented_with_its_own_schema_and_an_example(document: Any) -> None:
    schemas = document["components"]["schemas"]
    shown = set()
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json", {"examples": {}})
            for code, example in content["examples"].items():
                shown.add(code)
                assert PROBLEM_TYPES[code].status == int(status) == example["value"]["status"]
                assert {"$ref": f"#/components/schemas/{schema_name(code)}"} in content["schema"]["oneOf"]
                assert schemas[schema_name(code)]["properties"].keys() <= example["value"].keys()
    assert shown == PROBLEM_TYPES.keys() - BEFORE_ROUTING


def test_a_problem_says_all_of_its_fields_itself(document: Any) -> None:
    """Of a schema that adds to another, generators of clients make that other, and forget what was added."""
    sold_out = document["components"]["schemas"]["SoldOutProblem"]
    assert sold_out["title"] == "SoldOutProblem"
    assert sold_out.keys() == {"type", "title", "description", "properties", "required"}
    assert {"type", "title", "status", "detail", "request_id", "available"} <= set(sold_out["required"])


def test_the_document_is_valid(document: Any) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_bounds_and_formats_are_written_as_json_schema_has_them(document: Any) -> None:
    parameters = {one["name"]: one["schema"] for one in operations(document)["GET /events"]["parameters"]}
    assert parameters["limit"].items() >= {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}.items()
    assert {"type": "integer", "minimum": 0, "maximum": 2**63 - 1} in parameters["min_position"]["anyOf"]
    schemas = document["components"]["schemas"]
    for name in ("Registration", "AccountAnswer"):
        assert schemas[name]["properties"]["email"]["format"] == "email"
    in_path = operations(document)["GET /events/{event_id}"]["parameters"][0]["schema"]
    assert (in_path["type"], in_path["format"]) == ("string", "uuid")
    assert "for ever" in schemas["Payment"]["properties"]["payment_reference"]["description"]


def test_the_frameworks_own_errors_are_not_mentioned(document: Any) -> None:
    assert "HTTPValidationError" not in str(document)
    assert "Validation Error" not in str(document)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def test_every_refusal_that_events_and_reservations_can_give_is_named(document: Any) -> None:
    def codes(name: str) -> set[str]:
        return {
            code
            for response in operations(document)[name]["responses"].values()
            for code in response.get("content", {}).get("application/problem+json", {}).get("examples", ())
        }

    assert codes("POST /reservations") >= {
        "malformed-json", "not-authenticated", "event-not-found", "ticket-type-not-found", "ticket-type-required",
        "event-cancelled", "event-ended", "sales-not-open", "sales-closed", "limit-per-buyer", "sold-out",
        "idempotency-key-reused", "invalid-request", "overloaded", "database-away",
    }  # fmt: skip
    assert codes("POST /reservations/{reservation_id}/pay") >= {
        "not-found", "hold-expired", "not-payable", "event-cancelled"
    }  # fmt: skip
    assert codes("PATCH /events/{event_id}") >= {
        "event-not-found", "forbidden", "event-exists", "capacity-below-taken", "event-ended", "event-cancelled"
    }  # fmt: skip


def test_docs_can_log_in(document: Any) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["login"]["type"] == "oauth2"
    assert schemes["login"]["flows"]["password"]["tokenUrl"] == "/auth/login"
    assert schemes.keys() == {"login", "key"}
    assert "security" in operations(document)["POST /reservations"]
    assert "security" not in operations(document)["POST /auth/login"]


def test_reading_the_catalogue_needs_no_login_and_knows_one(document: Any) -> None:
    needed = {name: one["security"] for name, one in operations(document).items() if "security" in one}
    for_all = {name for name, security in needed.items() if security == [{}, {"login": []}]}
    assert for_all == {"GET /events", "GET /events/{event_id}"}
    assert all(security[0] == {"login": []} for name, security in needed.items() if name not in for_all)


def test_where_a_key_will_do_its_scope_is_named(document: Any) -> None:
    named = {name: one.get("security", []) for name, one in operations(document).items()}
    assert named["POST /reservations"] == [{"login": []}, {"key": ["reserve"]}]
    assert named["DELETE /auth/me"] == [{"login": []}]
    scopes = {scope for security in named.values() for one in security for scope in one.get("key", ())}
    assert scopes == set(SCOPES)


def test_operations_have_names_that_stay(document: Any) -> None:
    names = {name: one["operationId"] for name, one in operations(document).items()}
    assert len(set(names.values())) == len(names)
    assert [name for name in names.values() if not re.fullmatch("[a-z]+([A-Z][a-z]+)*", name)] == []
    assert names["POST /auth/login"] == "logIn"
    assert names["POST /reservations"] == "reserve"
    assert names["POST /reservations/{reservation_id}/pay"] == "payReservation"
    assert names["GET /events/for-you"] == "listEventsForYou"
    # What FastAPI makes of a route by itself has the method or the path in it once more.
    assert [name for name in names.values() if re.search("(Get|Post|Put|Patch|Delete)$", name)] == []


def test_a_form_is_called_after_its_operation(document: Any) -> None:
    (content,) = operations(document)["POST /auth/login"]["requestBody"]["content"].values()
    assert content["schema"] == {"$ref": "#/components/schemas/LogInForm"}
    assert [name for name in document["components"]["schemas"] if not re.fullmatch("([A-Z][a-z]+)+", name)] == []


def test_a_body_has_one_shape_in_one_media_type(document: Any) -> None:
    """Of several, and of one that may be null, generators make clients that can't be imported or called."""
    for name, operation in operations(document).items():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            assert media_type in ("application/json", "application/x-www-form-urlencoded"), name
            assert content["schema"].keys() == {"$ref"}, name
        assert len(operation.get("requestBody", {}).get("content", {"one": 1})) == 1, name


def test_headers_that_say_what_next_are_documented(document: Any) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            codes = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            assert ("Retry-After" in response["headers"]) == (status == "429" or (status == "503" and bool(codes))), (
                name
            )
            assert ("WWW-Authenticate" in response["headers"]) == (status == "401"), name


def test_every_answer_but_an_empty_one_has_a_schema(document: Any) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            schemas = [content["schema"] for content in response.get("content", {}).values()]
            assert all(schemas), (name, status)
            assert schemas or status in ("204", "304"), (name, status)


def test_every_route_has_a_summary_and_a_description(document: Any) -> None:
    for name, operation in operations(document).items():
        assert operation.get("summary"), name
        assert operation.get("description"), name


def test_routes_stand_by_tags_in_the_order_in_which_the_tags_are_described(document: Any) -> None:
    described = [tag["name"] for tag in document["tags"]]
    assert all(tag["description"].endswith(".") for tag in document["tags"])
    tags = [operation["tags"] for operation in operations(document).values()]
    assert [tag for (tag,), _ in groupby(tags)] == described, "ABOUT in api/docs/openapi.py, or rooms in api/app.py"


async def test_documentation_for_people_and_for_programs_is_served(client: httpx2.AsyncClient, document: Any) -> None:
    assert (await client.get("/openapi.json")).json() == document
    for path in ("/docs", "/redoc"):
        answered = await client.get(path)
        assert answered.status_code == 200
        assert "'openapi.json'" in answered.text
