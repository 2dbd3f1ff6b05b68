"""Passkeys (WebAuthn Level 3): register, list, remove, and sign in with nothing typed; each counts as both factors."""
