"""The database schema, step by step: `versions/NNN_what_it_does.py`, run by `calltrack db upgrade`."""
