"""What agents and members spent, what came in and what was denied, for admins."""
