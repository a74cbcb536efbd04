"""Tokens: who may call a server, with which role; for administrators."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

from bo_api.v1 import token_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from bo_client.errors import InvalidRequest

if TYPE_CHECKING:
    from bo_client.client import Client

Role = Literal["reader", "worker", "admin"]
ROLES: dict[Role, "pb.Role"] = {"reader": pb.ROLE_READER, "worker": pb.ROLE_WORKER, "admin": pb.ROLE_ADMIN}


@dataclass(frozen=True)
class TokenInfo:
    """The public data of a token."""

    id: str
    """The public part of the token."""
    role: Role
    studies: tuple[str, ...]
    """Ids of the studies that it gives access to, or prefixes that end with `*`; empty for all."""
    description: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None

    @property
    def is_valid(self) -> bool:
        """Whether the token is neither revoked nor expired, by this machine's clock."""
        return self.revoke_time is None and (self.expire_time is None or datetime.now(UTC) < self.expire_time)


@dataclass(frozen=True)
class NewToken:
    """A new token with its secret."""

    info: TokenInfo
    text: str = field(repr=False)
    """The secret, which the server never shows again."""


class Tokens:
    """The tokens of a server."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def create(
        self, role: Role, studies: Sequence[str] = (), lifetime: float | None = None, description: str = ""
    ) -> NewToken:
        """Create a token. The call is not retried: if its response is lost, list the tokens and revoke the new one.

        Args:
            role: role of the token; each role includes the rights of those before it.
            studies: ids of the studies that it gives access to, or prefixes that end with `*`; empty for all.
            lifetime: seconds until it expires; None if it never does.
            description: note for people.

        Returns:
            The token with its secret.

        Raises:
            InvalidRequest: names each invalid field.
            PermissionDenied: the caller is no administrator of all studies.
        """
        if role not in ROLES:
            raise InvalidRequest.of("role", f"is {role!r}; give one of {', '.join(ROLES)}")
        request = pb.CreateTokenRequest(role=ROLES[role], studies=studies, description=description)
        if lifetime is not None:
            request.lifetime.FromNanoseconds(int(lifetime * 1e9))
        response = self._client.ask(request, pb.CreateTokenResponse, patience=0.0)
        return NewToken(_from_wire(response.token), response.text)

    def __iter__(self) -> Iterator[TokenInfo]:
        """Yield all tokens by creation time, including revoked and expired ones."""
        page_token = ""
        while True:
            page = self._client.ask(pb.ListTokensRequest(page_token=page_token), pb.ListTokensResponse)
            yield from map(_from_wire, page.tokens)
            page_token = page.next_page_token
            if not page_token:
                return

    def revoke(self, token_id: str) -> TokenInfo:
        """Revoke a token; every server rejects it within seconds.

        Raises:
            NotFound: the token does not exist.
        """
        response = self._client.ask(pb.RevokeTokenRequest(name=f"tokens/{token_id}"), pb.RevokeTokenResponse)
        return _from_wire(response.token)


def _from_wire(token: pb.Token) -> TokenInfo:
    role = pb.Role.Name(token.role).removeprefix("ROLE_").lower()
    return TokenInfo(
        token.name.removeprefix("tokens/"),
        cast(Role, role),
        tuple(token.studies),
        token.description,
        _moment(token.create_time),
        _moment(token.expire_time) if token.HasField("expire_time") else None,
        _moment(token.revoke_time) if token.HasField("revoke_time") else None,
        _moment(token.last_use_time) if token.HasField("last_use_time") else None,
    )


def _moment(at: Timestamp) -> datetime:
    return at.ToDatetime(UTC)
