"""The waist: every proof becomes an Authorization, `issue` makes tokens of it, `verify` makes a Principal of a token."""
