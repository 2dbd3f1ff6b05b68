"""People: accounts, passwords, signing in and out, the first owner."""
