"""A copy of the database that only the secret key opens, and its way back, after which nothing used since can be used again."""
