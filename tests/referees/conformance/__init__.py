"""The MCP project's conformance suite, run against real Gatehouses: `make conformance`."""
