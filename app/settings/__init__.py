"""What the operator sets: read once from the environment, every fault at once, and shown without a secret."""
