"""Authentication: the caller of a request, from its bearer token."""

import hmac
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum

from bo_service.application.ports import Clock, Store
from bo_service.application.tokens import PREFIX, digest_of
from bo_service.application.waiting import within
from bo_service.domain.access import Principal, Role, Token
from bo_service.domain.errors import StorageUnavailable, Unauthenticated

REFRESH_S = 60.0
AUTHORIZATION_HINT = (
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


ANONYMOUS_ADMIN = Principal("anyone", Role.ADMIN)
"""The caller of a server that requires no tokens."""


class Authenticator:
    """A cache of the stored tokens, so that authentication needs no transaction. Threads may share it."""

    def __init__(self, store: Store, clock: Clock, mode: AuthMode) -> None:
        self._store = store
        self._clock = clock
        self._mode = mode
        self._guard = threading.Lock()
        self._refreshing = threading.Lock()
        self._tokens: Mapping[str, Token] = {}
        self._uses: dict[str, datetime] = {}
        self.is_bootstrap = False
        """Whether it is open because no token has been made yet, and closes with the first."""
        self.allows_anonymous = False
        """Whether callers need no token."""
        self.reload()

    @property
    def has_tokens(self) -> bool:
        """Whether any token is neither revoked nor expired."""
        now = self._clock.now()
        return any(token.is_valid(now) for token in self._tokens.values())

    def reload(self) -> None:
        """Read the tokens again; those made or revoked elsewhere count from then on.

        Raises:
            StorageUnavailable: the database doesn't answer; the tokens stay as they were.
        """
        if not self._refreshing.acquire(timeout=within(REFRESH_S)):
            raise StorageUnavailable("the tokens are being read, and the database doesn't answer; try again")
        try:  # one at a time, so that what was read later stays
            with self._store.read() as records:
                self._tokens = {token.token_id: token for token in records.list_tokens()}
            self.is_bootstrap = self._mode is AuthMode.AUTO and not self._tokens
            self.allows_anonymous = self._mode is AuthMode.NONE or self.is_bootstrap
        finally:
            self._refreshing.release()

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller of a value of the header `authorization`, None without one.

        Raises:
            Unauthenticated: a token is required, and it is missing, unknown, revoked or expired.
        """
        if self.allows_anonymous:
            return ANONYMOUS_ADMIN
        if authorization is None:
            raise Unauthenticated(f"authorization: is missing; {AUTHORIZATION_HINT}", cause="missing")
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(f"authorization: is no bearer token; {AUTHORIZATION_HINT}", cause="malformed")
        token = self._recognized(text.strip())
        self._require_valid(token)
        with self._guard:
            self._uses[token.token_id] = self._clock.now()
        return Principal(token.name, token.role, token.studies)

    def is_still_authorized(self, principal: Principal) -> bool:
        """Return whether an admitted caller would be admitted again: streams ask while they last."""
        if principal is ANONYMOUS_ADMIN or self.allows_anonymous:
            return self.allows_anonymous
        token = self._tokens.get(principal.name.removeprefix("tokens/"))
        return token is not None and token.is_valid(self._clock.now())

    def note_uses(self) -> None:
        """Store when tokens were last used, of all that were used since the last call."""
        with self._guard:
            uses, self._uses = self._uses, {}
        if uses:
            with self._store.write() as records:
                for token in records.list_tokens():
                    if token.token_id in uses:
                        records.save_token(replace(token, last_use_time=uses[token.token_id]))

    def _recognized(self, text: str) -> Token:
        token_id = text.removeprefix(f"{PREFIX}_").partition("_")[0]
        token = self._tokens.get(token_id)
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
