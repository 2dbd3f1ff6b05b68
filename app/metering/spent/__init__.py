"""What was spent, by whom, on what, and what was denied: for those who keep the books, and for whoever paid."""
