"""What the tests' worker processes run on: the product's settings, of few processes. No task of a test overruns its time by itself."""

from gamer.settings import *  # noqa: F403
from gamer.settings import Q_CLUSTER

Q_CLUSTER = {**Q_CLUSTER, "workers": 2, "bulk": 1, "queue_limit": 1, "timeout": 300, "retry": 900}
ROOT_URLCONF = "tests.gamer.queue.no_urls"
