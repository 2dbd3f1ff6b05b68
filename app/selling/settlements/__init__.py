"""Payments that a facilitator settles on a chain: written down before it is asked, completed when it has answered, given once."""
