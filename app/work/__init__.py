"""Proof of work: challenges that cost no row until they are solved, for agents and for who registers."""
