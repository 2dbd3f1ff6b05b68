"""Clients: the apps that may ask for tokens, how they register and how they prove who they are."""
