"""That there is always an admin who can sign in, and that who acts as one is one."""
