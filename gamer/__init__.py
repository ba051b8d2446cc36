"""The ground every app stands on: settings, errors, sealed columns, the queue, web conventions, the development start.

Not here: anything about VMs, people or money. Start reading at `settings.py`; `make run` starts at `dev/__main__.py`.
"""
