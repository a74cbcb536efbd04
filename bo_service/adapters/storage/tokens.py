"""The bearer tokens over one SQL connection in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from bo_service.adapters.storage import schema
from bo_service.core.access import Token
from bo_service.core.errors import NotFound

COLUMNS = [schema.tokens.c[field.name] for field in fields(Token)]


class SqlTokens:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[Token]:
        query = select(*COLUMNS).order_by(schema.tokens.c.create_time, schema.tokens.c.token_id)
        return [Token(**row) for row in self._connection.execute(query).mappings()]

    def get(self, token_id: str) -> Token:
        query = select(*COLUMNS).where(schema.tokens.c.token_id == token_id)
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no token tokens/{token_id}; see ListTokens for those there are")
        return Token(**row)

    def add(self, token: Token) -> None:
        self._connection.execute(insert(schema.tokens).values(asdict(token)))

    def save(self, token: Token) -> None:
        table = schema.tokens
        self._connection.execute(update(table).where(table.c.token_id == token.token_id).values(asdict(token)))

    def note_uses(self, uses: Mapping[str, datetime]) -> None:
        table = schema.tokens
        noted = update(table).where(table.c.token_id == bindparam("used")).values(last_use_time=bindparam("at"))
        if uses:
            self._connection.execute(noted, [{"used": token_id, "at": at} for token_id, at in uses.items()])
