"""Transport parts that know no provider: the session, auth, pages, windows, the budget, the breaker, statuses."""
