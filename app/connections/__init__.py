"""Connections: the standing permission that a user gave a client, which is also the refresh family of its tokens."""
