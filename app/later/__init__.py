"""What is remembered now and written a little later, so that the request does not wait for it."""
