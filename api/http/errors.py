"""What HTTP itself brings about: the refusals and failures that the domain and the event store know nothing of."""

from domain.errors import Refusal
from eventstore.errors import Failure, Overloaded


class AuditorsOnly(Refusal):
    """Only auditors may read this. Have the role granted with "tixxety grant"."""

    code = "forbidden"


class AnalystsOnly(Refusal):
    """Only its organiser and analysts may look into the sales of this event. Ask an operator for the role analyst."""

    code = "forbidden"


class NotFound(Refusal):
    """There is nothing at this address. Check the path and the id in it."""

    code = "not-found"


class MethodNotAllowed(Refusal):
    """This address does not take this method. The Allow header names those that it takes."""

    code = "method-not-allowed"


class BodyTooLarge(Refusal):
    """The body is larger than {limit_bytes} bytes. Send less."""

    code = "body-too-large"
    limit_bytes: int


class RequestTimeout(Refusal):
    """The request did not arrive within {limit_seconds} seconds. Send it again."""

    code = "request-timeout"
    limit_seconds: int


class HeadersTooLarge(Refusal):
    """The request line and headers are too large. Send fewer or shorter ones."""

    code = "headers-too-large"


class MalformedRequest(Refusal):
    """This is no HTTP/1.1 request, or it says twice what may be said once. Check what was sent."""

    code = "malformed-request"


class MalformedJson(Refusal):
    """The body is not JSON, or names something twice. Send one JSON object, encoded in UTF-8."""

    code = "malformed-json"


class UnsupportedMediaType(Refusal):
    """The body is of another kind than is read here. Send it with Content-Type: {media_type}."""

    code = "unsupported-media-type"
    media_type: str


class UnsupportedContentCoding(Refusal):
    """The body is compressed. Send it as it is, without Content-Encoding."""

    code = "unsupported-media-type"


class RateLimited(Refusal):
    """Too many requests came from your address. Try again in {retry_after_seconds} seconds."""

    code = "rate-limited"
    retry_after_seconds: int


class TooManyConnections(Refusal):
    """Your address has as many connections as one may have. Use those that you have, and close what you don't use."""

    code = "too-many-connections"
    retry_after_seconds: int = 1


class RecordedTooMuch(Refusal):
    """Your account has recorded all that one may in a minute. Go on in {retry_after_seconds} seconds."""

    code = "rate-limited"
    retry_after_seconds: int


class TooManyAtOnce(Refusal):
    """Your account has {limit} requests under way already. Send the next once one of them is answered."""

    code = "too-many-at-once"
    limit: int
    retry_after_seconds: int = 1


class SearchesOverloaded(Overloaded):
    """More searches are waiting than can be answered soon. Try again in a moment; all else is answered as ever."""


class SearchTooSlow(Failure):
    """The search was ended because it took too long. Look for other words, or name a place or a time as well."""

    code = "search-too-slow"
    retry_after_seconds = 5

    def __init__(self, limit_seconds: int) -> None:
        super().__init__()
        self.limit_seconds = limit_seconds


class ProjectionBehind(Failure):
    """The tables for reading have not reached the position you asked for. Try again in a moment."""

    code = "projection-behind"
    retry_after_seconds = 1

    def __init__(self, min_position: int, position: int) -> None:
        super().__init__()
        self.min_position = min_position
        self.position = position


class RebuildDue(Failure):
    """The database has not yet the tables that this answer is read from. Its operator makes them: tixxety rebuild."""

    code = "rebuild-due"
    retry_after_seconds = 60


class InternalError(Failure):
    """Something broke on our side. Try again, and name the request_id if you report it."""


class Stopping(Overloaded):
    """This process is stopping. Whether the command was recorded is unknown: repeat it with the same key."""


class NoConnectionLeft(Overloaded):
    """This process has as many connections as it can. Try again in a moment."""
