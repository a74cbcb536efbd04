"""Files from before there were tokens are brought to have them, and keep what they had."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from bo_service.adapters.storage import upgrade
from bo_service.adapters.storage.sqlite import SqliteStore
from bo_service.core.access import Role, Token

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STUDY = """INSERT INTO studies (study_id, spec, create_time, update_time, display_name, labels, state, revision)
VALUES ('old', '{"space":{"parameters":[]},"metrics":[]}', 0, 0, 'old', '{}', 'active', 1)"""


def file_of_the_first_schema(path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(upgrade.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(STUDY))
    engine.dispose()


def test_a_file_of_the_first_schema_gets_tokens_and_keeps_its_studies(tmp_path: Path) -> None:
    file_of_the_first_schema(tmp_path / "bo.db")
    store = SqliteStore(tmp_path / "bo.db")
    with store.read() as records:
        assert records.studies.total() == 1
        assert records.tokens.all() == []
        assert records.health.last_beat() is None
    store.close()


def test_tokens_are_kept_whole(tmp_path: Path) -> None:
    later = NOW + timedelta(days=1)
    token = Token("a", "d" * 64, Role.ADMIN, NOW, ("x", "y-*"), "mine", later, None, later)
    store = SqliteStore(tmp_path / "bo.db")
    with store.write() as records:
        records.tokens.add(token)
        records.tokens.add(Token("b", "e" * 64, Role.READER, NOW - timedelta(days=1)))
    store.close()
    store = SqliteStore(tmp_path / "bo.db")
    with store.write() as records:
        assert records.tokens.get("a") == token
        assert [t.token_id for t in records.tokens.all()] == ["b", "a"]  # by their creation
        records.tokens.save(token.revoke(later))
        records.tokens.note_uses({"b": later, "gone": later})
    with store.read() as records:
        assert records.tokens.get("a").revoke_time == later
        assert records.tokens.get("b").last_use_time == later
    store.close()


def test_the_moment_of_a_check_is_written_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "bo.db")
    for at in (NOW, NOW + timedelta(seconds=2)):
        with store.write() as records:
            records.health.beat(at)
        with store.read() as records:
            assert records.health.last_beat() == at
    store.close()
