"""What clients went through that tried to connect, as pages."""
