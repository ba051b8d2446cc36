"""A process of ours that calls one verb, to be killed in the middle: `python -m … JSON`, the words of an account, a verb, a machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.vms.providers.cloudypad_vendor import account_in, product
from tests.vms.providers.memory_over_a_socket import Remote
from tests.vms.providers.specs import pick, spec, tag
from vms.providers.base import Need, Provider
from vms.providers.cloudypad.cli import Times
from vms.providers.cloudypad.provider import open_cloudypad
from vms.providers.memory import MemoryProvider
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Timeouts

# Nobody is to give up by itself.
PATIENT = Times(names=0, status=0, probe=0, create_watch=600, act_watch=600)
SLOW = Timeouts(read=600, create=600, act=600)


def opened(words: Mapping[str, str]) -> Provider:
    match words["kind"]:
        case "memory":
            return MemoryProvider(Remote(words["address"]))
        case "tensordock":
            return TensorDockProvider(words["token"], words["base_url"], timeouts=SLOW)
        case _:
            account = account_in(Path(words["folder"]), [product()], words["command"])
            return open_cloudypad("cloudypad_gcp", account, times=PATIENT)


def main(words: Mapping[str, str]) -> None:
    provider, verb = opened(words), words["verb"]
    if verb == "create":
        provider.create(spec(pick(provider.offers(Need()))), tag())
    elif verb in ("offers", "list"):
        getattr(provider, verb)(*([Need()] if verb == "offers" else []))
    else:
        getattr(provider, verb)(words["machine_id"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
