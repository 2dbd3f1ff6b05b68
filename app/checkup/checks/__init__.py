"""The checks, grouped by what they look at: each takes the visit and returns one finding, and asks nothing."""
