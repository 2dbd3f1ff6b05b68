"""Invoices that were offered, whether they are settled, and who claimed them: one payment hash buys once, at whichever door."""
