"""What an operator runs on: logs, metrics, traces, health, and the sweep."""
