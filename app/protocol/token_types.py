"""The names of kinds of tokens (RFC 8693 §3)."""

from __future__ import annotations

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"  # ours are both
API_KEY = "urn:gatehouse:token-type:api-key"  # our own name: the registry has none for it
