"""Whether anything grows in an hour: `python -m bench.soak`, or `make soak`."""
