"""TensorDock's API v2 (facts 2), as its users have observed it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import answers
from sandbox.answers import NoAnswer, body_of
from sandbox.cloud import Cloud, Refused
from sandbox.faults import Fault
from sandbox.instances import Instance, order_facts
from sandbox.stock import Resources
from sandbox.validation import Invalid, Order, parse_order

HOLD_S = 300.0
DEFAULT_PROBLEMS = [
    {"code": "custom", "message": "Invalid configuration", "path": ["data", "attributes", "resources"]}
]


def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


def _instance(request: Request) -> Instance:
    return _cloud(request).get(request.path_params["id"])


async def locations(request: Request) -> Response:
    listed = [location.as_json() for location in _cloud(request).stock.locations.values()]
    return JSONResponse({"data": {"locations": [each for each in listed if each is not None]}})


async def hostnodes(request: Request) -> Response:
    listed = _cloud(request).stock.listed_hostnodes(dict(request.query_params))
    return JSONResponse({"data": {"hostnodes": [each.as_json() for each in listed]}})


async def hostnode(request: Request) -> Response:
    found = _cloud(request).stock.hostnodes.get(request.path_params["id"])
    if found is None:
        raise Refused(404, "Hostnode not found")
    return JSONResponse({"data": found.as_json()})


async def instances(request: Request) -> Response:
    cloud = _cloud(request)
    listed = cloud.listed()
    match cloud.settings.list_shape:
        case "instances":
            return JSONResponse({"data": {"instances": [each.as_attributes() for each in listed]}})
        case "attributes.instances":
            return JSONResponse(
                {"data": {"attributes": {"instances": [each.as_attributes() for each in listed]}}}
            )
        case _:
            return JSONResponse({"data": [each.as_flat() for each in listed]})


async def instance(request: Request) -> Response:
    return JSONResponse(_instance(request).as_detail())


async def create(request: Request) -> Response:
    cloud = _cloud(request)
    order = parse_order(await body_of(request))
    if not order.is_windows and not order.dedicated_ip and not _forwards_ssh(order):
        raise Refused(400, "SSH port (22) must be forwarded for Ubuntu VMs")
    ssh_key = _ssh_key(cloud, order)
    facts = order_facts(order)
    if (refused := _refused_by_fault(cloud, facts)) is not None:
        return refused
    if fault := cloud.faults.take("create_lands_late", **facts):
        cloud.clock.at(
            cloud.clock.now() + fault.number("after_s", 60), lambda _at: _create_unseen(cloud, order, ssh_key)
        )
        return NoAnswer(cloud, fault.number("hold_s", 0))
    if fault := cloud.faults.take("slow_create", **facts):
        await cloud.hold(fault.number("seconds", 60))
    made = cloud.create(order, ssh_key)
    if fault := cloud.faults.take("create_then_timeout", **facts):
        return _no_answer(cloud, fault)
    answered = {
        "type": "virtualmachine",
        "id": made.id,
        "name": made.name,
        "status": cloud.settings.create_status,
    }
    return JSONResponse({"data": answered}, status_code=201)


def _forwards_ssh(order: Order) -> bool:
    return any(forward.internal_port == 22 for forward in order.port_forwards)


def _ssh_key(cloud: Cloud, order: Order) -> str:
    if order.ssh_key_id is None:
        return order.ssh_key or ""
    secret = cloud.secrets.get(order.ssh_key_id)
    if secret is None or secret["type"] != "SSHKEY":
        problem = {
            "code": "custom",
            "message": "SSH key not found",
            "path": ["data", "attributes", "ssh_key_id"],
        }
        raise Invalid([problem])
    return secret["value"]


def _refused_by_fault(cloud: Cloud, facts: dict[str, str]) -> Response | None:
    if fault := cloud.faults.take("validation_array", **facts):
        return JSONResponse(fault.args.get("errors", DEFAULT_PROBLEMS), status_code=400)
    if fault := cloud.faults.take("balance_low", **facts):
        refused = answers.low_balance(fault.number("usd", 1))
        refused.status_code = int(fault.number("http_status", 200))
        return refused
    if cloud.faults.take("stale_offer", **facts):
        return answers.no_nodes()
    if cloud.faults.take("no_public_ip", **facts):
        return answers.no_public_ip()
    return None


def _create_unseen(cloud: Cloud, order: Order, ssh_key: str) -> None:
    """A create nobody waits for: where it fails, nobody hears of it either."""
    try:
        cloud.create(order, ssh_key)
    except answers.REFUSALS:
        return


def _no_answer(cloud: Cloud, fault: Fault) -> Response:
    return NoAnswer(cloud, 0.0 if fault.args.get("drop") else fault.number("hold_s", HOLD_S))


async def start(request: Request) -> Response:
    found = _instance(request)
    _cloud(request).start(found)
    return _changing(found, "starting")


async def stop(request: Request) -> Response:
    found = _instance(request)
    _cloud(request).stop(found)
    return _changing(found, "stopping")


def _changing(found: Instance, status: str) -> Response:
    data = {"type": "virtualmachine", "id": found.id, "attributes": {"status": status}}
    return JSONResponse({"data": data})


async def modify(request: Request) -> Response:
    """A flat body: cpuCores, ramGb, diskGb, gpus {gpuV0Name, count}; what is left out stays."""
    found = _instance(request)
    body = await body_of(request)
    if not isinstance(body, dict):
        raise Refused(400, "Expected object")
    held = found.resources
    gpus = dict(held.gpus)
    if isinstance(wanted := body.get("gpus"), dict):
        count = _size(wanted, "count", 1)
        gpus = {str(wanted.get("gpuV0Name")): count} if count else {}
    sizes = Resources(
        _size(body, "cpuCores", held.vcpus),
        _size(body, "ramGb", held.ram_gb),
        _size(body, "diskGb", held.storage_gb),
        gpus,
    )
    _cloud(request).modify(found, sizes)
    return _success("Virtual machine modified successfully")


def _size(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or value < 0:
        raise Invalid([{"code": "invalid_type", "message": "Expected number", "path": [name]}])
    return value


async def delete(request: Request) -> Response:
    cloud, found = _cloud(request), _instance(request)
    if cloud.faults.take_lasting("delete_fails", cloud.clock.now(), **found.facts):
        return answers.refusal(500, "Failed to delete virtual machine")
    unanswered = cloud.faults.take("delete_times_out_but_succeeds", **found.facts)
    cloud.delete(found)
    if unanswered:
        return _no_answer(cloud, unanswered)
    return _success("Virtual machine deleted successfully")


def _success(message: str) -> Response:
    return JSONResponse({"data": {"type": "success", "attributes": {"message": message}}})


async def auth_test(_request: Request) -> Response:
    return JSONResponse({"success": True})


async def secrets(request: Request) -> Response:
    listed = [
        {"type": "secret", "id": key, "name": each["name"]} for key, each in _cloud(request).secrets.items()
    ]
    return JSONResponse({"data": {"secrets": listed}})


async def create_secret(request: Request) -> Response:
    cloud = _cloud(request)
    body = await body_of(request)
    data = body.get("data") if isinstance(body, dict) else None
    attributes = data.get("attributes") if isinstance(data, dict) else None
    given = attributes if isinstance(attributes, dict) else {}
    problems = [
        {"code": "invalid_type", "message": "Required", "path": ["data", "attributes", name]}
        for name in ("type", "name", "value")
        if not isinstance(given.get(name), str)
    ]
    if not problems and given["type"] not in ("SSHKEY", "GENERIC", "SECRET"):
        problems = [
            {"code": "invalid_enum_value", "message": "Unknown type", "path": ["data", "attributes", "type"]}
        ]
    if problems:
        raise Invalid(problems)
    secret_id = cloud.new_id()
    cloud.secrets[secret_id] = {name: given[name] for name in ("type", "name", "value")}
    return JSONResponse({"data": {"type": "secret", "id": secret_id, "name": given["name"]}}, status_code=201)


async def secret(request: Request) -> Response:
    """Only SSH keys ever show their value."""
    cloud, secret_id = _cloud(request), request.path_params["id"]
    found = cloud.secrets.get(secret_id)
    if found is None:
        raise Refused(404, "Secret not found")
    if request.method == "DELETE":
        del cloud.secrets[secret_id]
        return _success("Secret deleted successfully")
    value = {"value": found["value"]} if found["type"] == "SSHKEY" else {}
    return JSONResponse({"data": {"type": "secret", "id": secret_id, "name": found["name"], **value}})


ROUTES = [
    Route("/locations", locations),
    Route("/hostnodes", hostnodes),
    Route("/hostnodes/{id}", hostnode),
    Route("/instances", instances),
    Route("/instances", create, methods=["POST"]),
    Route("/instances/{id}", instance),
    Route("/instances/{id}", delete, methods=["DELETE"]),
    Route("/instances/{id}/start", start, methods=["POST"]),
    Route("/instances/{id}/stop", stop, methods=["POST"]),
    Route("/instances/{id}/modify", modify, methods=["PUT"]),
    Route("/secrets", secrets),
    Route("/secrets", create_secret, methods=["POST"]),
    Route("/secrets/{id}", secret, methods=["GET", "DELETE"]),
    Route("/auth/test", auth_test, methods=["POST"]),
]
