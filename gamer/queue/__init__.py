"""Work handed to django-q2. A task is a hint: losing one costs seconds, because the row it is about is the truth.

Every task runs at least once, so each is idempotent and takes ids only. Not here: what the tasks do. Start reading at
`enqueue.py` (how to hand work over) and `wake.py` (how to wake a waiting process); `worker.py` is what `qworker` runs.
"""
