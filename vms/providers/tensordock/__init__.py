"""TensorDock's marketplace, API v2.

`client` is the wire (HTTP, time-outs, errors), `answers` reads what comes back, `offers` and `orders` translate the stock and a create,
`provider` is the meaning. Start at `provider`. The vendor's quirks are marked where they are met.
"""

from vms.providers.tensordock.provider import TensorDockProvider

__all__ = ["TensorDockProvider"]
