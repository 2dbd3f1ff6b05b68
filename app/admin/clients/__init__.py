"""The apps, for admins: blocked, registered by hand, given other lifetimes."""
