"""Real servers for the tests: one PostgreSQL from wheels for the session, with databases and roles as in production."""
