"""What Gatehouse costs, measured on loopback: `python -m bench`, or `make bench`."""
