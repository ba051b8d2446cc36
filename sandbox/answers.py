"""The shapes v2 answers in, its refusals among them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from sandbox.cloud import MINIMUM_BALANCE_USD, Cloud, LowBalance, Refused
from sandbox.stock import NoNodes, NoPublicIp
from sandbox.validation import Invalid

REFUSALS = (NoNodes, NoPublicIp, LowBalance, Refused)
HTML_ERROR = (
    "<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"
)


def refusal(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status)


def refusal_inside_200(text: str) -> JSONResponse:
    """The body says 400, the HTTP status says 200."""
    return JSONResponse({"status": 400, "error": text})


def no_nodes() -> JSONResponse:
    return refusal_inside_200("No available nodes found")


def no_public_ip() -> JSONResponse:
    return refusal_inside_200("No available public IPs on hostnode")


def low_balance(usd: float = MINIMUM_BALANCE_USD) -> JSONResponse:
    return refusal_inside_200(
        f"Insufficient balance: you need at least ${usd:.2f} to deploy this virtual machine"
    )


async def on_invalid(_request: Request, error: Exception) -> Response:
    return JSONResponse(error.problems if isinstance(error, Invalid) else [], status_code=400)


async def on_refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, Refused):
        return refusal(error.status, error.text)
    return refusal(400, str(error))


async def on_no_nodes(request: Request, _error: Exception) -> Response:
    if request.url.path.endswith("/start"):
        return refusal(400, "No available resources to start this virtual machine")
    return no_nodes()


async def on_no_public_ip(_request: Request, _error: Exception) -> Response:
    return no_public_ip()


async def on_low_balance(_request: Request, _error: Exception) -> Response:
    return low_balance()


async def on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return refusal(status, error.detail if isinstance(error, HTTPException) else "Internal Server Error")


HANDLERS: dict[Any, Any] = {
    Invalid: on_invalid,
    Refused: on_refused,
    NoNodes: on_no_nodes,
    NoPublicIp: on_no_public_ip,
    LowBalance: on_low_balance,
    HTTPException: on_http_error,
}


async def body_of(request: Request) -> Any:
    """The JSON body; raises Refused."""
    try:
        return json.loads(await request.body() or b"{}")
    except ClientDisconnect:
        raise Refused(400, "Nobody waits for the answer") from None
    except ValueError:
        raise Refused(400, "Invalid JSON in request body") from None


class NoAnswer(Response):
    """No answer at all: the connection is held until the client gives up or `hold_s` have passed, then closed."""

    def __init__(self, cloud: Cloud, hold_s: float) -> None:
        super().__init__()
        self._cloud = cloud
        self._hold_s = hold_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        held = asyncio.ensure_future(self._cloud.hold(self._hold_s))
        gone = asyncio.ensure_future(_disconnected(receive))
        await asyncio.wait({held, gone}, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        gone.cancel()
        scope["state"]["transport"].abort()


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
