"""Failures that can be staged, of the database and of the way to it: a real Gatehouse process and a real Postgres, killed and stopped."""
