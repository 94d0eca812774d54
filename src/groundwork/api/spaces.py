"""`/api/v1/spaces`: list, look at, register, build, switch to, drop."""

from typing import Any

from fastapi import APIRouter

from groundwork.api.bodies import CONFLICT, PROBLEMS, JobBody, SpaceBody, SpacePage, SpaceRequest
from groundwork.api.state import ADMIN, AdminCaller, PlatformDep
from groundwork.spaces.registry import NewSpace

router = APIRouter(prefix="/api/v1/spaces", tags=["spaces"], responses={**PROBLEMS, **CONFLICT}, dependencies=[ADMIN])


@router.get("", response_model=SpacePage, summary="List embedding spaces")
async def list_spaces(platform: PlatformDep) -> dict[str, Any]:
    """Every embedding space, oldest first, with how many passages it lacks. They fit on one page."""
    return await platform.spaces.page()


@router.post("", status_code=201, response_model=SpaceBody, summary="Register an embedding space")
async def create(request: SpaceRequest, platform: PlatformDep) -> dict[str, Any]:
    """Registers a space once its model has answered; nothing is built yet."""
    return await platform.spaces.create(NewSpace(**request.model_dump()))


@router.get("/{name}", response_model=SpaceBody, summary="Look at an embedding space")
async def show(name: str, platform: PlatformDep) -> dict[str, Any]:
    """One space."""
    return await platform.spaces.show(name)


@router.post("/{name}/build", status_code=202, response_model=JobBody, summary="Build an embedding space")
async def build(name: str, platform: PlatformDep) -> dict[str, Any]:
    """Queues a build; the job. Searches go on in the live space, and it goes on where it was cut off."""
    return await platform.spaces.queue_build(name)


@router.post("/{name}/switch", response_model=SpaceBody, summary="Search in another embedding space")
async def switch(name: str, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Makes a built space the live one, at once and for every process; refused while it is not complete."""
    switched = await platform.spaces.switch(name)
    await platform.access.record(caller.deed("space_switched", name))
    return switched


@router.delete("/{name}", status_code=202, response_model=JobBody, summary="Drop an embedding space")
async def drop(name: str, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Queues the removal of a space with its vectors; the job. The live one is refused."""
    job = await platform.spaces.queue_drop(name)
    await platform.access.record(caller.deed("space_dropped", name))
    return job
