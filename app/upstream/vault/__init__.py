"""Tokens of users at services elsewhere: sealed, refreshed ahead of time by one at a time, given back when they are not wanted."""
