"""What the server refuses: one error for all dialects, each of which gives it a shape of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vicinal.errors import VicinalError

Kind = Literal[
    "validation",
    "tokenizer",
    "empty",
    "unauthorized",
    "forbidden",
    "not_found",
    "method",
    "timeout",
    "too_large",
    "backend",
    "overloaded",
    "internal",
    "unhealthy",
]

#: The HTTP status of each kind, unless the dialect has another one.
STATUSES: Mapping[str, int] = {
    "validation": 422,
    "tokenizer": 422,
    "empty": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method": 405,
    "timeout": 503,
    "too_large": 413,
    "backend": 424,
    "overloaded": 429,
    "internal": 500,
    "unhealthy": 503,
}


class Refused(VicinalError):
    """A request that gets no result.

    Args:
        kind: what is wrong; decides the status, see :data:`STATUSES`.
        message: what, where and the remedy.
        param: the field of the request that is wrong.
        retry_after: seconds after which another try makes sense.
        status: the HTTP status, where it is another one than that of the kind.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.given_status = status

    @property
    def status(self) -> int:
        """The HTTP status where the dialect has no other one for the kind."""
        return self.given_status or STATUSES[self.kind]

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        found = {}
        if self.retry_after is not None:
            found["Retry-After"] = str(max(1, round(self.retry_after)))
        if self.kind == "unauthorized":
            found["WWW-Authenticate"] = "Bearer"
        return found
