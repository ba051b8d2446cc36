"""Opens a provider by its kind, with every verb logged and timed. Pure: accounts are rows of vms, which wraps this."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from vms.providers.base import Provider, ProviderError
from vms.providers.cloudypad.clouds import Account
from vms.providers.cloudypad.provider import PROVIDERS, open_cloudypad
from vms.providers.memory import MemoryProvider, cloud
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.provider import BASE_URL

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

KINDS: dict[str, type[Provider]] = {
    MemoryProvider.kind: MemoryProvider,
    TensorDockProvider.kind: TensorDockProvider,
    **PROVIDERS,
}


class OnCall(Protocol):
    """Told of every verb that ended: seconds it took, and the error class by name; None for success, "crash" for a bug."""

    def __call__(self, kind: str, verb: str, seconds: float, error: str | None, /) -> None: ...


VERBS = ("offers", "create", "get", "list", "delete", "stop", "start", "balance")


def open_provider(
    kind: str,
    credentials: Mapping[str, str],
    base_url: str = "",
    pace: Callable[[], None] = lambda: None,
    on_call: OnCall | None = None,
    tool: Account | None = None,
    name: str = "",
) -> Provider:
    """The provider of one account. Raises ValueError for an unknown kind or an impossible address.

    `credentials`: tensordock {"token"}; memory {"cloud": its name} (default "default"); the clouds' as in `cloudypad.clouds`.
    `base_url` "" means the vendor's own. `tool` is for the kinds that drive one, without the credentials. `name`
    is the account's, for the log: of a kind there may be several.
    `pace` is called before each request to the vendor; it may wait or raise Unavailable.
    """
    match kind:
        case MemoryProvider.kind:
            provider: Provider = MemoryProvider(cloud(credentials.get("cloud", "default")), pace=pace)
        case TensorDockProvider.kind:
            provider = TensorDockProvider(credentials.get("token", ""), base_url or BASE_URL, pace=pace)
        case _ if kind in PROVIDERS:
            account = replace(tool or Account("", Path()), credentials=credentials)
            provider = open_cloudypad(kind, account, pace=pace)
        case _:
            raise ValueError(f"no provider is called {kind!r}; there are {', '.join(KINDS)}")
    for verb in VERBS:
        if hasattr(provider, verb):
            # Over the instance, so that class, mixins and class attributes stay what they are.
            setattr(provider, verb, _watched(kind, name, verb, getattr(provider, verb), on_call))
    return provider


def _watched(kind: str, name: str, verb: str, call: Callable[P, R], on_call: OnCall | None) -> Callable[P, R]:
    who = f"{kind} {name}".strip()

    @wraps(call)
    def watched(*args: P.args, **kwargs: P.kwargs) -> R:
        started = time.monotonic()
        # A bug that escapes as another error is told as such, and flies on.
        failure: str | None = "crash"
        try:
            result = call(*args, **kwargs)
            failure = None
            return result
        except ProviderError as error:
            failure = type(error).__name__
            log.info("%s %s: %s: %s", who, verb, failure, error)
            raise
        finally:
            seconds = time.monotonic() - started
            log.debug("%s %s took %.3f s", who, verb, seconds)
            if on_call is not None:
                on_call(kind, verb, seconds, failure)

    return watched
