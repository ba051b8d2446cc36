"""The ASGI application: the vendor's API under /api/v2, the steering under /control."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

from sandbox import api, control
from sandbox.answers import HANDLERS, on_refused
from sandbox.cloud import Cloud
from sandbox.gate import Gate, RequestLog


def make_app(cloud: Cloud, token: str) -> Starlette:
    """Time passes while the application lives; at its end every machine is killed."""
    requests = RequestLog()
    vendor = Starlette(routes=api.ROUTES, exception_handlers=HANDLERS)
    vendor.state.cloud = cloud
    gate = Gate(vendor, cloud=cloud, token=token, requests=requests)
    steering = Starlette(
        routes=control.ROUTES, exception_handlers={**HANDLERS, **dict.fromkeys(control.HANDLED, on_refused)}
    )
    steering.state.cloud, steering.state.requests, steering.state.gate = cloud, requests, gate

    @contextlib.asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        time_passes = asyncio.create_task(cloud.clock.run())
        try:
            yield
        finally:
            time_passes.cancel()
            await cloud.close()

    # A web page open on the developer's machine must not reach this by a name that resolves to loopback.
    only_loopback = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=[Mount("/api/v2", gate), Mount("/control", steering)],
        lifespan=lifespan,
        middleware=[only_loopback],
    )
