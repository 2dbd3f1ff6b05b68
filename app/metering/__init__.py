"""Budgets in sats, and the charges against them: exact however many callers come at once."""
