"""The endpoint that steers the sandbox: what is alive, faults, speeds, time. No token; loopback only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.answers import body_of
from sandbox.cloud import Cloud, Refused
from sandbox.faults import BadFault
from sandbox.gate import Gate, RequestLog
from sandbox.instances import Instance
from sandbox.settings import SPEEDS, BadSetting


def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


def _described(cloud: Cloud, instance: Instance) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(cloud.clock.as_unix_time(instance.created_at), UTC)
    return {
        "id": instance.id,
        "name": instance.name,
        "status": instance.status,
        "created_at": created_at.isoformat().replace("+00:00", "Z"),
        "ip_address": instance.ip_address,
        "ssh_port": instance.ssh_port,
        "is_guest_running": instance.guest is not None and instance.guest.is_running,
        "location_id": instance.hostnode.location.id,
        "hostnode_id": instance.hostnode.id,
        "usd_per_hour": round(instance.current_usd_per_hour, 6),
        "faults": sorted(instance.carried),
    }


async def alive(request: Request) -> Response:
    cloud = _cloud(request)
    return JSONResponse([_described(cloud, each) for each in cloud.instances.values()])


async def reset(request: Request) -> Response:
    """Kills every machine; faults, settings, balance, secrets, counts and rate window start anew."""
    await _cloud(request).reset()
    request_log: RequestLog = request.app.state.requests
    gate: Gate = request.app.state.gate
    request_log.counts.clear()
    gate.forget_recent()
    return JSONResponse({})


async def settings(request: Request) -> Response:
    """GET and PUT {any setting, speed: instant|fast|vendor, balance_usd}."""
    cloud = _cloud(request)
    if request.method == "PUT":
        body = await _object(request)
        speed, balance_usd = body.pop("speed", None), body.pop("balance_usd", None)
        changes = {}
        if speed is not None:
            if speed not in SPEEDS:
                raise BadSetting(f"speed is one of {', '.join(SPEEDS)}")
            changes = {name: value for name, value in SPEEDS[speed].as_json().items() if name.endswith("_s")}
        cloud.settings = cloud.settings.changed({**changes, **body})
        if isinstance(balance_usd, int | float):
            cloud.account.set_balance(float(balance_usd))
            cloud.clock.run_due()
    seen = {
        "balance_usd": cloud.account.balance_usd,
        "usd_per_hour": cloud.account.usd_per_hour,
        "walls": cloud.guests.walls,
    }
    return JSONResponse({**cloud.settings.as_json(), **seen})


async def faults(request: Request) -> Response:
    """GET what is on; POST {name, times, match, args} switches one on; DELETE clears all, or ?name=."""
    cloud = _cloud(request)
    if request.method == "POST":
        return JSONResponse(cloud.faults.add(await _object(request)).as_json(), status_code=201)
    if request.method == "DELETE":
        cloud.faults.clear(request.query_params.getlist("name") or None)
    return JSONResponse(cloud.faults.as_json())


async def advance(request: Request) -> Response:
    """Moves the clock forward; answers when everything that thereby fell due has happened."""
    seconds = (await _object(request)).get("seconds", 0)
    if not isinstance(seconds, int | float) or seconds < 0:
        raise BadSetting("seconds is a number from 0")
    await _cloud(request).clock.advance(float(seconds))
    return JSONResponse({})


async def requests(request: Request) -> Response:
    """How many requests came, by kind; DELETE begins anew."""
    request_log: RequestLog = request.app.state.requests
    if request.method == "DELETE":
        request_log.counts.clear()
    return JSONResponse({**request_log.as_json(), "held": _cloud(request).held})


async def vanish(request: Request) -> Response:
    cloud, found = _named(request)
    cloud.remove(found)
    await cloud.clock.advance(0)
    return JSONResponse({})


async def stop(request: Request) -> Response:
    cloud, found = _named(request)
    cloud.stopped_by_itself(found)
    await cloud.clock.advance(0)
    return JSONResponse(_described(cloud, found))


async def kill_guest(request: Request) -> Response:
    """The machine hangs: nothing in it runs or answers any more, the vendor still says running."""
    cloud, found = _named(request)
    if found.guest is not None:
        await found.guest.stop()
    return JSONResponse(_described(cloud, found))


def _named(request: Request) -> tuple[Cloud, Instance]:
    cloud = _cloud(request)
    return cloud, cloud.get(request.path_params["id"])


async def _object(request: Request) -> dict[str, Any]:
    body = await body_of(request)
    if not isinstance(body, dict):
        raise Refused(400, "Expected object")
    return body


HANDLED = (BadFault, BadSetting)
ROUTES = [
    Route("/alive", alive),
    Route("/reset", reset, methods=["POST"]),
    Route("/settings", settings, methods=["GET", "PUT"]),
    Route("/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/advance", advance, methods=["POST"]),
    Route("/requests", requests, methods=["GET", "DELETE"]),
    Route("/instances/{id}/vanish", vanish, methods=["POST"]),
    Route("/instances/{id}/stop", stop, methods=["POST"]),
    Route("/instances/{id}/kill_guest", kill_guest, methods=["POST"]),
]
