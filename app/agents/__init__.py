"""Callers without an account: projects, proof of work, sessions that work or sats began, and the seed's seven calls."""
