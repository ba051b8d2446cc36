"""One file per claim: each prints what it measured, a reference measured in the same run, and the ratio.

Seconds depend on the machine and on who else uses it; ratios travel. `make bench` runs all, `python -m bench NAME` one.
"""
