"""What lies outside: documents and keys that others publish, fetched so that no address of ours can be reached through us."""
