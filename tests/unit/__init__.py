"""Pure functions, no loop, milliseconds."""
