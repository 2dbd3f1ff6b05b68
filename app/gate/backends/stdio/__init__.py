"""A stdio server behind streamable HTTP: its processes, what is said with them, and what is answered for them."""
