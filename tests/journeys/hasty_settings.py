"""The product's settings with leases short enough that a test can wait for them to run out."""

from gamer.settings import *  # noqa: F403
from gamer.settings import Q_CLUSTER

LEASE_S = 3
Q_CLUSTER = {**Q_CLUSTER, "workers": 2, "bulk": 1, "queue_limit": 2}
