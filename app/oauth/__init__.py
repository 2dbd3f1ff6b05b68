"""The authorization server: metadata, registration, /authorize, consent, /token, /revoke."""
