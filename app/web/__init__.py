"""What pages and endpoints share: one address, bodies, headers, who asks from where, sessions, forms, pages."""
