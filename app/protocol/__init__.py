"""The wire, as pure functions and frozen values: no await, no I/O, no framework."""
