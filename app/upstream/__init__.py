"""Accounts elsewhere: to sign in with, and for tools to act at. We are the client here, and others the authorization server."""
