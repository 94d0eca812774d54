"""`/metrics`: what the process counts, for Prometheus. It holds no names of people, questions or documents."""

from fastapi import APIRouter, Request, Response

from groundwork.api.state import ANYBODY
from groundwork.telemetry import metrics

router = APIRouter(tags=["health"], dependencies=[ANYBODY])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}},
    summary="Metrics",
)
async def read_metrics(request: Request) -> Response:
    """Metrics of this process, in Prometheus's text format. Answered during maintenance and while starting, too."""
    await request.app.state.platform.breakers.publish()
    return Response(metrics.text(), media_type=metrics.CONTENT_TYPE)
