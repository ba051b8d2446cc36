"""What the tests' worker processes run on: the product's settings, with waits short enough to watch."""

from gamer.settings import *  # noqa: F403
from gamer.settings import Q_CLUSTER

Q_CLUSTER = {**Q_CLUSTER, "workers": 2, "bulk": 1, "queue_limit": 1, "timeout": 20, "retry": 60}
ROOT_URLCONF = "tests.gamer.queue.no_urls"
