"""What operators do to it: stop it, replace it, back it up, watch it."""
