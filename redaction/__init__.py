"""The room below all others: keeps secrets out of what is shown, be it a log line, a vendor's words or an error's text.

Knows nobody and no framework, so that adapters, the setup of machines and the ground may all use it. Start at `masks.py`.
"""
