"""Everybody who has an account, for admins."""
