"""Staff's pages of money: what things cost, who has what, and every line behind a figure."""

from billing.admin import accounts, lines, rates

__all__ = ["accounts", "lines", "rates"]
