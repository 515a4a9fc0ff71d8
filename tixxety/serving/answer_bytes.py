"""Answers as they go over the wire: a head, and the last answer on a connection whose request is not even begun."""

from collections.abc import Iterable

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.http.middleware import REQUEST_ID_HEADER, new_request_id
from api.http.problems import MEDIA_TYPE, document
from domain.errors import Refusal
from eventstore.errors import Failure

CLOSING = (b"connection", b"close")


def head_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The status line and the headers, up to the body."""
    return b"%b%b\r\n" % (STATUS_LINE[status], b"".join([b"%b: %b\r\n" % header for header in headers]))


def last_answer(refusal: Refusal | Failure, root_path: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The problem document of a refusal, after which the connection is closed."""
    request_id = new_request_id()
    problem = document(refusal, request_id, root_path)
    body = msgspec.json.encode(problem)
    headers = [
        *default_headers,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (REQUEST_ID_HEADER, str(request_id).encode()),
        CLOSING,
    ]
    if "retry_after_seconds" in problem:
        headers.append((b"retry-after", str(problem["retry_after_seconds"]).encode()))
    return head_of(problem["status"], headers) + body
