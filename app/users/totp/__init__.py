"""The second step: codes that change with time (RFC 6238), and recovery codes for when the phone is lost."""
