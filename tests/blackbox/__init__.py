"""The black-box checks of MCP's authorization and transport, one test each; `index.toml` says which test holds which."""
