"""What a signed-in person sees and may undo: connected apps, API keys, sessions, usage, profile; take it along, or leave."""
