"""Services elsewhere: signing in with them, tools that act at them, and all that can go wrong on the way."""
