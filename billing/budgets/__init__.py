"""Budgets: made by people, looked at all at once, and crossed as rows that the rooms above act upon.

`rows.py` makes and changes them, `watch.py` sums them, `notices.py` says what is told, `force.py` is what launches and the
reconciler ask. Nothing here knows a VM: whoever launches and stops looks at the crossings.
"""
