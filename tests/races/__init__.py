"""Many at once, real Postgres: exactly one winner."""
