"""What may stand behind the guard: each kind is one async context manager that yields an ASGI app and ends what it started."""
