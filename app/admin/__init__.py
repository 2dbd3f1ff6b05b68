"""What admins see and may do: pages under /admin, the same as JSON under /admin/api."""
