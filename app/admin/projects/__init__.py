"""The projects that agents without an account come to, for admins."""
