"""The loop that keeps the promise: claim due rows, look or act with no transaction open, apply under a guard.

`loop.py` turns, `claims.py` takes and gives back rows, `steps/` decide, `apply.py` writes. `outcome.py` is what a step may say.
"""
