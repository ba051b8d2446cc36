from django.apps import AppConfig


class QueueConfig(AppConfig):
    name = "gamer.queue"
    label = "gamer_queue"
    verbose_name = "Queue"
