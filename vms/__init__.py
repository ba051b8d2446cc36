"""The promise to a player, and the loop that keeps it: ProviderAccount, Offer, VM, Attempt, GameSession.

Not here: who people are (accounts), what a console needs (emulators), what it costs (billing).
Start reading at `lifecycle.py`, then `services/`, then `reconcile/loop.py`.
"""
