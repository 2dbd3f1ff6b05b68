"""Which users allowed which apps, for admins."""
