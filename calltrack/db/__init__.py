"""Postgres: tables, engine, credentials, accounts, and the bulk upsert."""
