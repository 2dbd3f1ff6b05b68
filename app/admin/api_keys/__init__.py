"""The API keys of everybody, for admins."""
