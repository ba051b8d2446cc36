"""Adapters to those who rent out machines. Read `base.py`; `registry.py` opens an account."""
