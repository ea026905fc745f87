"""Every call from every call platform into your Postgres: once, correct, and provably complete."""
