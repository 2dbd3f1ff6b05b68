"""The admin pages as JSON, typed, described by /openapi.json."""
