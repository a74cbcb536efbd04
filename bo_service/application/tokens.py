"""Tokens: give out, look at, revoke."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from bo_service.application.ports import Clock, Store
from bo_service.domain.access import Role, Token, check_scope
from bo_service.domain.errors import InvalidArgument, WrongState
from bo_service.domain.limits import MAX_TOKEN_DESCRIPTION

PREFIX = "bo"
SECRET_BYTES = 32
LONGEST_LIFE = timedelta(days=3650)


@dataclass(frozen=True)
class NewToken:
    """A token to be given out."""

    role: Role
    studies: tuple[str, ...] = ()
    description: str = ""
    lifetime: timedelta | None = None
    """None: it doesn't expire."""


@dataclass(frozen=True)
class IssuedToken:
    """A token, and its text, which is nowhere else."""

    token: Token
    text: str = field(repr=False)


def create_token(store: Store, clock: Clock, new: NewToken) -> IssuedToken:
    """Create a token; its text is random, of 256 bits.

    Raises:
        InvalidArgument: a study's pattern, the description or the lifetime isn't allowed.
    """
    studies = check_scope(new.studies)
    if len(new.description) > MAX_TOKEN_DESCRIPTION or not new.description.isprintable():
        raise InvalidArgument.of("description", f"give at most {MAX_TOKEN_DESCRIPTION} printable characters")
    if new.lifetime is not None and not timedelta() < new.lifetime <= LONGEST_LIFE:
        raise InvalidArgument.of(
            "lifetime", f"is {new.lifetime}; give more than zero and at most {LONGEST_LIFE.days} days, or none"
        )
    now = clock.now()
    token_id = secrets.token_hex(6)
    text = f"{PREFIX}_{token_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    expire_time = None if new.lifetime is None else now + new.lifetime
    token = Token(token_id, digest_of(text), new.role, now, studies, new.description, expire_time)
    with store.write() as records:
        records.save_token(token)
    return IssuedToken(token, text)


def create_first_token(store: Store, clock: Clock, new: NewToken) -> IssuedToken:
    """Create the first token, for a caller without one: only tokens are admitted from then on.

    Raises:
        WrongState: it isn't for an administrator of all studies.
    """
    if new.role is not Role.ADMIN or new.studies or new.lifetime is not None:
        raise WrongState(
            "the first token must have the role admin, all studies and no expiry: from then on this server "
            "refuses calls without a token"
        )
    return create_token(store, clock, new)


def list_tokens(store: Store) -> list[Token]:
    """Return all tokens, revoked and expired ones too, in the order of their creation."""
    with store.read() as records:
        return records.list_tokens()


def revoke_token(store: Store, clock: Clock, token_id: str) -> Token:
    """Revoke a token and return it. Raises NotFound."""
    with store.write() as records:
        token = records.get_token(token_id).revoke(clock.now())
        records.save_token(token)
        return token


def digest_of(text: str) -> str:
    """Return what is kept of a token. A plain hash is enough: 256 random bits can't be guessed."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
