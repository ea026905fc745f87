"""Every call from every call platform into your Postgres: once, and correct."""
