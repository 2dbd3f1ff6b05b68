"""What somebody's API keys and apps spent, and the receipts of it."""
