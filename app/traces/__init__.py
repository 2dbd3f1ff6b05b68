"""Connection traces: what every attempt of a client to connect went through, what came of it, and what to do next."""
