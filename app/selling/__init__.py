"""What is sold for sats to whoever has none to spend: one call of a tool, or a token with a budget; offered, taken once, receipted."""
