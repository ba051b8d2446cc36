"""Staff's pages of money: what things cost, who has what, who may spend how much, and every line behind a figure."""

from billing.admin import accounts, budgets, lines, providers, rates

__all__ = ["accounts", "budgets", "lines", "providers", "rates"]
