"""Device authorization: a code shown on a device, a page to type it into, polls that end in tokens (RFC 8628)."""
