"""The services that are configured here, by settings or by an admin, and what their issuers publish about themselves."""
