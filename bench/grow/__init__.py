"""How what a request costs grows: `python -m bench.grow`, or `make grow`."""
