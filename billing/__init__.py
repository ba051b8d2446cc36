"""Money: rates, what was used, the ledger, budgets and alerts, reports. Knows a metered subject, never a VM.

Not here: when a machine costs (vms writes that down), whom a limit stops (vms looks). Start reading at `services.py`.
"""
