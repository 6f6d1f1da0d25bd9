"""Errors in the shape of OpenAI's: {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from anneal_server.inference.protocol import ErrorBody, ErrorDetail

TYPES = {400: "BadRequestError", 404: "NotFoundError", 405: "MethodNotAllowedError", 413: "RequestTooLargeError",
         429: "RateLimitError", 503: "ServiceUnavailableError"}
RETRY_AFTER = {429: "2", 503: "5"}
"""Seconds after which a client may come back."""


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


def body(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error."""
    kind = TYPES.get(status, "InternalServerError" if status >= 500 else "BadRequestError")
    return ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=status)).model_dump()


def headers(status: int) -> dict[str, str]:
    """Retry-After where coming back helps."""
    return {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}


def response(status: int, message: str, param: str | None = None, more: dict[str, str] | None = None) -> JSONResponse:
    """The whole answer."""
    return JSONResponse(body(status, message, param), status, {**headers(status), **(more or {})})


def place(loc: Sequence[Any]) -> str:
    """`messages[0].content` from where pydantic found it; names of union members are left out."""
    found = ""
    for part in loc[1:]:
        if isinstance(part, int):
            found += f"[{part}]"
        elif part.isidentifier():
            found += f".{part}" if found else part
    return found


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return response(error.status, error.message, error.param)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = place(first["loc"])
    text = f"{where}: {first['msg']}" if where else f"the body is not what is asked for: {first['msg']}"
    return response(400, text, where or None)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return response(error.status_code, str(error.detail), more=dict(error.headers or {}))


async def _unforeseen(_: Request, __: Exception) -> JSONResponse:
    # Starlette raises it again when this is sent, and limits.Gate logs it.
    return response(500, "the server failed; its log says why")


def install(app: FastAPI) -> None:
    """Make the app answer every error in this shape."""
    for kind, handler in ((ApiError, _refused), (RequestValidationError, _invalid), (HTTPException, _http),
                          (Exception, _unforeseen)):
        app.add_exception_handler(kind, handler)
