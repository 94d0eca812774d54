"""Errors over HTTP: RFC 9457 problem documents, one table from kind to status."""

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


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""
    app.add_exception_handler(GroundworkError, _groundwork)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def problem(status: int, title: str, detail: str, kind: str, **more: Any) -> JSONResponse:
    """A problem document."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "kind": kind, **more}
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _groundwork(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GroundworkError)
    status, title = STATUS[error.kind]
    return problem(status, title, error.message, error.kind)


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [{"at": ".".join(str(part) for part in each["loc"]), "message": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{fault['at']}: {fault['message']}" for fault in faults)
    return problem(422, STATUS["invalid"][1], detail, "invalid", errors=faults)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "invalid", 413: "invalid"}.get(error.status_code, "invalid")
    response = problem(error.status_code, error.detail, error.detail, kind)
    response.headers.update(error.headers or {})
    return response


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, STATUS["internal"][1], "The fault was logged; tell the operator when it happened.", "internal")
