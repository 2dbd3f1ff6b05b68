"""Who a user is elsewhere: the subject of another issuer that stands for an account of ours."""
