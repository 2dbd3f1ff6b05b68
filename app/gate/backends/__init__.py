"""What answers behind the guard: each kind of backend is one context manager that yields an ASGI app."""
