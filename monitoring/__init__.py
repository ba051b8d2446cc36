"""How things are doing: samples as machines tell them, their roll-ups, trends. Knows a subject (a UUID), never a VM.

Not here: who may see a subject's values and where they are shown (vms), Prometheus' figures of our own processes
(`gamer/web/metrics.py`). Start reading at `measures.py`, then `services.py`.
"""
