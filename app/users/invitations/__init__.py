"""Invitations: who was asked to make an account, and the page where they do."""
