"""JSON bodies as RFC 8259 has them: Python's reader would take `NaN` and `Infinity`, too."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictJsonRequest(Request):
    """A request whose `json` raises ValueError for what is no JSON."""

    async def json(self) -> Any:
        return json.loads(await self.body(), parse_constant=_refuse)


class StrictJsonRoute(APIRoute):
    """For the `route_class` of routers whose routes take bodies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return handle_strictly


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
