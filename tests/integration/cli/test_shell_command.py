from sqlalchemy import text


def test_code_runs_with_everything_at_hand(calltrack):
    names = "app.main, sync_account.name, tasks.tick.name, settings.port, db.scalar(text('SELECT 40 + 2'))"
    result = calltrack("shell", "-c", f"print({names})")
    assert result.stdout == "calltrack calltrack.sync_account calltrack.tick 8000 42\n"


def test_a_shell_reads_from_its_input_and_goes_on_after_a_mistake(calltrack):
    """In one transaction, the first error would spoil all that follows."""
    result = calltrack("shell", typed="db.execute(text('nonsense'))\nprint(db.scalar(text('SELECT 40 + 2')))\n")
    assert result.exit_code == 0
    assert "42" in result.stdout
    assert "sync_account.delay" in result.stderr


def test_a_statement_commits_by_itself(calltrack, database):
    call = "INSERT INTO webhook_refusals (hour, door, reason) VALUES (now(), 'a', 'b')"
    calltrack("shell", "-c", f'db.execute(text("{call}")); raise SystemExit')
    with database.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM webhook_refusals")) == 1
