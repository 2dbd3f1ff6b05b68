"""The first page of admins: is all well, what is left to do, the numbers that matter."""
