"""What no query finds a row of, whatever was done, by whom, where, and whoever died meanwhile."""

from __future__ import annotations

NEVER = {
    "a code that was spent for nothing": "SELECT FROM codes WHERE consumed_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM connections c WHERE c.id = connection_id)",
    "two families of one code": "SELECT FROM codes GROUP BY connection_id HAVING count(connection_id) > 1",
    "a connection that nobody proved": "SELECT FROM connections c WHERE NOT EXISTS (SELECT FROM audit_events"
    " WHERE event = 'token.issued' AND detail->>'connection' = c.id)",
    "tokens of nothing": "SELECT FROM audit_events WHERE event = 'token.issued' AND NOT EXISTS"
    " (SELECT FROM connections c WHERE c.id = detail->>'connection')",
    "an end of which the replicas do not hear": "SELECT FROM connections c WHERE revoked_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM revocations WHERE handle = c.id)",
    "an end that nobody recorded": "SELECT FROM connections c WHERE (revoked_at IS NOT NULL) <> EXISTS"
    " (SELECT FROM audit_events WHERE event = 'connection.revoked' AND detail->>'connection' = c.id)",
    "an end that was recorded twice": "SELECT FROM audit_events WHERE event = 'connection.revoked'"
    " GROUP BY detail->>'connection' HAVING count(*) > 1",
    "a payment that was claimed for nothing": "SELECT FROM payments WHERE claimed_by LIKE 'session %' AND NOT EXISTS"
    " (SELECT FROM agent_sessions s WHERE 'session ' || s.id = claimed_by)",
    "a claim that nobody recorded": "SELECT FROM payments WHERE claimed_at IS NOT NULL AND NOT EXISTS"
    " (SELECT FROM audit_events WHERE event = 'payment.claimed' AND detail->>'bought' = claimed_by)",
    "a session that nobody paid for": "SELECT FROM agent_sessions s WHERE kind <> 'pow' AND NOT EXISTS"
    " (SELECT FROM payments WHERE claimed_by = 'session ' || s.id UNION ALL"
    " SELECT FROM settlements WHERE claimed_by = 'session ' || s.id)",
    "a session without a budget": "SELECT FROM agent_sessions s WHERE NOT EXISTS (SELECT FROM budgets b WHERE b.id = s.id)",
    "a budget that does not add up": "SELECT FROM budgets b WHERE kind = 'agent' AND funded_sats +"
    " (SELECT coalesce(sum(sats - free_sats), 0) FROM charges WHERE budget_id = b.id)"
    " <> coalesce((SELECT sats FROM payments WHERE claimed_by = 'session ' || b.id), 0)",
    "a day that does not add up": "SELECT FROM budgets b, LATERAL (SELECT coalesce(sum(sats), 0) AS sats,"
    " coalesce(sum(free_sats), 0) AS free_sats, count(*) AS calls FROM charges"
    " WHERE budget_id = b.id AND (at AT TIME ZONE 'UTC')::date = b.day) c"
    " WHERE (b.day_sats, b.day_free_sats, b.day_calls) <> (c.sats, c.free_sats, c.calls)",
    "somebody signed in of whom nobody wrote": "SELECT FROM browser_sessions s WHERE (SELECT count(*) FROM audit_events"
    " WHERE event = 'login' AND user_id = s.user_id) < (SELECT count(*) FROM browser_sessions WHERE user_id = s.user_id)",
    "a link that was used for nothing": "SELECT FROM one_time_links l WHERE purpose = 'login' AND used_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM totp t WHERE t.user_id = l.user_id) AND NOT EXISTS (SELECT FROM audit_events a"
    " WHERE event = 'login' AND a.user_id = l.user_id AND detail->>'method' LIKE 'link%')",
    "an identity that nobody recorded": "SELECT FROM identities i WHERE NOT EXISTS (SELECT FROM audit_events"
    " WHERE event = 'identity.bound' AND detail->>'subject' = i.subject)",
    "an account elsewhere that nobody recorded": "SELECT FROM upstream_accounts u WHERE NOT EXISTS"
    " (SELECT FROM audit_events WHERE event = 'upstream.connected' AND user_id = u.user_id)",
    "a transaction left open": "SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'idle in transaction' AND now() - state_change > interval '5 seconds'",
}
