"""The services that people sign in with or connect."""
