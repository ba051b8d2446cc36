"""A process of ours that calls one verb, to be killed in the middle: `python -m … FOLDER VERB MACHINE`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.vms.providers.cloudypad_vendor import account_in, product
from tests.vms.providers.specs import spec, tag
from vms.providers.base import Need
from vms.providers.cloudypad import open_cloudypad
from vms.providers.cloudypad.cli import Times

PATIENT = Times(names=0, status=0, probe=0, create_watch=600, act_watch=600)


def main(folder: str, verb: str, machine_id: str) -> None:
    provider = open_cloudypad("cloudypad_gcp", account_in(Path(folder), [product()]), times=PATIENT)
    if verb == "create":
        provider.create(spec(provider.offers(Need())[0]), tag())
    else:
        getattr(provider, verb)(machine_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
