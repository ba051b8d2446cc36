"""As `worker_settings`, with a watchdog that a test can wait for, and a cluster's start or a busy machine does not wake."""

from tests.gamer.queue.worker_settings import *  # noqa: F403

QUEUE_STUCK_AFTER_S = 6
