"""The cost reports: one page with charts and a table, its exports, and what helps to type a filter. Everything is in its address.

form: what an address asks for · table: lines and links · charts: what the script draws · export: files that stream · page: the door.
"""

from billing.admin.costs.page import CostsAdmin

__all__ = ["CostsAdmin"]
