"""The door: who calls, from the token that they show."""

import hmac
import threading
from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from bo_service.application.ports import Clock, Store
from bo_service.application.tokens import PREFIX, digest_of
from bo_service.core.access import Principal, Role, Token
from bo_service.core.errors import Unauthenticated

HOW_TO_SHOW = (
    "send the metadata `authorization: Bearer TOKEN`; the Python client takes the token from BO_TOKEN, "
    "commands also from --token-file"
)


class AuthMode(Enum):
    """Who needs a token."""

    AUTO = "auto"
    """Nobody until the first one has been made; then everybody, whatever becomes of that one."""
    TOKENS = "tokens"
    """Everybody."""
    NONE = "none"
    """Nobody."""


EVERYBODY = Principal("anyone", Role.ADMIN)
"""Who calls a server that asks for no tokens."""


class Door:
    """Knows the tokens as they were a moment ago, so that asking costs no transaction. Threads may share it."""

    def __init__(self, store: Store, clock: Clock, mode: AuthMode) -> None:
        self._store = store
        self._clock = clock
        self._mode = mode
        self._guard = threading.Lock()
        self._refreshing = threading.Lock()
        self._known: Mapping[str, Token] = {}
        self._uses: dict[str, datetime] = {}
        self.refresh()

    @property
    def is_open(self) -> bool:
        """Whether callers need no token."""
        return self._mode is AuthMode.NONE or self.awaits_first_token

    @property
    def awaits_first_token(self) -> bool:
        """Whether it is open because no token has been made yet, and closes with the first."""
        return self._mode is AuthMode.AUTO and not self._known

    @property
    def has_tokens(self) -> bool:
        """Whether there is one that is worth something."""
        now = self._clock.now()
        return any(token.is_valid(now) for token in self._known.values())

    def refresh(self) -> None:
        """Reads the tokens again; what was made or revoked elsewhere counts from then on."""
        with self._refreshing, self._store.read() as records:  # so that what was read later stays
            self._known = {token.token_id: token for token in records.tokens.all()}

    def admit(self, authorization: str | None) -> Principal:
        """Who shows this: the value of the header `authorization`, None without one.

        Raises:
            Unauthenticated: a token is needed, and there is none, or none that is worth something.
        """
        if self.is_open:
            return EVERYBODY
        if authorization is None:
            raise Unauthenticated(f"authorization: is missing; {HOW_TO_SHOW}", cause="missing")
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(f"authorization: is no bearer token; {HOW_TO_SHOW}", cause="malformed")
        token = self._recognized(text.strip())
        self._require_valid(token)
        with self._guard:
            self._uses[token.token_id] = self._clock.now()
        return Principal(token.name, token.role, token.studies)

    def is_still_welcome(self, principal: Principal) -> bool:
        """Whether who was let in would be let in again: streams ask while they go on."""
        if principal is EVERYBODY or self.is_open:
            return self.is_open
        token = self._known.get(principal.name.removeprefix("tokens/"))
        return token is not None and token.is_valid(self._clock.now())

    def note_uses(self) -> None:
        """Stores when tokens were last used, all of them since the last time."""
        with self._guard:
            uses, self._uses = self._uses, {}
        if uses:
            with self._store.write() as records:
                records.tokens.note_uses(uses)

    def _recognized(self, text: str) -> Token:
        token_id = text.removeprefix(f"{PREFIX}_").partition("_")[0]
        token = self._known.get(token_id)
        expected = token.digest if token else digest_of("")  # unknown ids take as long as wrong secrets
        if not hmac.compare_digest(digest_of(text), expected) or token is None:
            raise Unauthenticated(
                "authorization: this server has given out no such token; check that it is whole and meant for this "
                "server, or ask an administrator for one",
                cause="unknown",
            )
        return token

    def _require_valid(self, token: Token) -> None:
        if token.revoke_time is not None:
            raise Unauthenticated(f"{token.name} has been revoked; ask an administrator for another", cause="revoked")
        if not token.is_valid(self._clock.now()):
            raise Unauthenticated(
                f"{token.name} expired at {token.expire_time:%Y-%m-%d %H:%M} UTC; ask an administrator for another",
                cause="expired",
            )
