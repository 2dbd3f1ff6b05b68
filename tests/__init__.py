"""The tests; see the README."""
