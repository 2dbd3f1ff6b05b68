"""What the API keys and connections of people may spend, for admins."""
