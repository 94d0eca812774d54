"""Errors over HTTP: RFC 9457 problem documents, one table from kind to status."""

import json
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from groundwork.errors import GroundworkError

log = structlog.get_logger()

STATUS = {
    "invalid": (422, "The request is not valid"),
    "unauthenticated": (401, "Who asks is not known"),
    "too_many": (429, "Too many requests"),
    "refused": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "conflict": (409, "Conflict"),
    "over_budget": (429, "Over budget"),
    "busy": (503, "Busy"),
    "unavailable": (503, "Unavailable"),
    "corrupt": (500, "Stored data is damaged"),
    "internal": (500, "Something went wrong"),
}
RETRY_AFTER_SECONDS = "5"
_NOT_TEXT = "A text holds half of a surrogate pair. Take it out and send the request again."


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""
    app.add_exception_handler(GroundworkError, _groundwork)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(UnicodeEncodeError, _not_text)
    app.add_exception_handler(Exception, _unforeseen)


class _Problem(JSONResponse):
    def render(self, content: Any) -> bytes:
        """What the caller sent may be quoted, and need not be text."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def problem(status: int, title: str, detail: str, kind: str, **more: Any) -> JSONResponse:
    """A problem document."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "kind": kind, **more}
    headers = {503: {"Retry-After": RETRY_AFTER_SECONDS}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    return _Problem(body, status, headers, media_type="application/problem+json")


async def _groundwork(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GroundworkError)
    status, title = STATUS[error.kind]
    shown = {name: error.details[name] for name in error.shown if name in error.details}
    response = problem(status, title, error.message, error.kind, **shown)
    if "retry_after" in error.details:
        response.headers["Retry-After"] = str(error.details["retry_after"])
    return response


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem(422, STATUS["invalid"][1], explain(error), "invalid", errors=_faults(error))


def explain(error: RequestValidationError) -> str:
    """What is wrong with a request, and where, in one line."""
    return "; ".join(f"{fault['at']}: {fault['message']}" for fault in _faults(error))


def _faults(error: RequestValidationError) -> list[dict[str, str]]:
    return [
        {"at": ".".join(str(part) for part in each["loc"]), "message": each["msg"].removeprefix("Value error, ")}
        for each in error.errors()
    ]


async def _not_text(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnicodeEncodeError)
    return problem(422, STATUS["invalid"][1], _NOT_TEXT, "invalid")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "invalid", 413: "invalid"}.get(error.status_code, "invalid")
    response = problem(error.status_code, error.detail, error.detail, kind)
    response.headers.update(error.headers or {})
    return response


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, STATUS["internal"][1], "The fault was logged; tell the operator when it happened.", "internal")
