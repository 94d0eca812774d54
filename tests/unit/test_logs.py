"""Log lines tell what happened, and no value of a variable: that may be a password."""

import json
from collections.abc import Generator
from typing import Literal

import pytest
import structlog

from groundwork.telemetry import logs

_SECRET = "canary-in-a-variable"


@pytest.fixture(autouse=True)
def unconfigured() -> Generator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def _fail(password: str) -> None:
    raise LookupError("nothing was found for " + str(len(password)))


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_the_trace_of_a_fault_shows_no_values(
    capsys: pytest.CaptureFixture[str], log_format: Literal["human", "json"]
) -> None:
    logs.configure(log_format, "info")
    try:
        _fail(_SECRET)
    except LookupError as error:
        structlog.get_logger().error("request failed", exc_info=error)
    said = capsys.readouterr().err
    assert _SECRET not in said
    assert "nothing was found for 20" in said
    assert "_fail" in said, "where it happened"
    if log_format == "json":
        assert json.loads(said)["event"] == "request failed"
