"""Everything about somebody, as one JSON document."""
