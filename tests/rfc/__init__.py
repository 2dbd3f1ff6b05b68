"""One file a specification; each test cites the section it obeys."""
