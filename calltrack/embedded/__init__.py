"""Postgres and Valkey from wheels, and the processes of the Procfile, run and looked after by one command."""
