"""What a signed-in person sees and may undo: connected apps and API keys."""
