"""What the tests' worker processes run on: the product's settings, with waits short enough to watch."""

from gamer.settings import *  # noqa: F403
from gamer.settings import Q_CLUSTER

Q_CLUSTER = {**Q_CLUSTER, "workers": 2, "bulk": 1, "queue_limit": 1, "timeout": 3, "retry": 4}
QUEUE_STUCK_AFTER_S = 2
ROOT_URLCONF = "tests.gamer.queue.no_urls"
