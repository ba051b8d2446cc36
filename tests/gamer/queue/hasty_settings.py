"""As `worker_settings`, with a timeout that a test can wait for."""

from tests.gamer.queue.worker_settings import *  # noqa: F403
from tests.gamer.queue.worker_settings import Q_CLUSTER

Q_CLUSTER = {**Q_CLUSTER, "timeout": 1}
