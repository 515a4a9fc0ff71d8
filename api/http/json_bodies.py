"""JSON bodies as RFC 8259 has them: Python's reader would take `NaN`, too, and names that are given twice."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response, params
from fastapi.routing import APIRoute

from api.http.errors import UnsupportedMediaType

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
FORMS = (FORM, "multipart/form-data")


class StrictJsonRequest(Request):
    """A request whose `json` raises ValueError for what is no JSON."""

    async def json(self) -> Any:
        read = json.loads(await self.body(), parse_constant=_refuse, object_pairs_hook=_object)
        # The framework would take it for a body that was left out; a text is refused, like all that is no object.
        return "null" if read is None else read


class StrictJsonRoute(APIRoute):
    """For the `route_class` of routers whose routes take bodies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        fields = self.dependant.body_params
        reads_form = any(isinstance(field.field_info, params.Form) for field in fields)

        async def handle_strictly(request: Request) -> Response:
            strict = StrictJsonRequest(request.scope, request.receive)
            if fields and await strict.body():
                _check_media_type(strict.headers.get("content-type", ""), reads_form)
            return await handle(strict)

        return handle_strictly


def _check_media_type(given: str, reads_form: bool) -> None:
    """Raises `UnsupportedMediaType` for another kind of body than the route reads."""
    media_type = given.partition(";")[0].strip().lower()
    if reads_form:
        if media_type not in FORMS:
            raise UnsupportedMediaType(FORM)
    elif media_type != JSON and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise UnsupportedMediaType(JSON)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name is given twice")
    return made


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
