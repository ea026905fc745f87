"""Postgres: tables, engine, credentials, accounts, and the bulk upsert."""

import orjson
from psycopg.types.json import set_json_dumps, set_json_loads

# Every jsonb value of this process goes through orjson: raw records are the largest part of what is read and written.
set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)
