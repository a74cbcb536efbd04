"""Tokens: who may call a server, and what they may do. For administrators."""

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
    """What a server tells of a token."""

    id: str
    """Not a secret."""
    role: Role
    studies: tuple[str, ...]
    """Ids of the studies that it is for, or beginnings of ids with a `*`; empty for all."""
    description: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None

    @property
    def is_valid(self) -> bool:
        """Neither revoked nor expired, by this machine's clock."""
        return self.revoke_time is None and (self.expire_time is None or datetime.now(UTC) < self.expire_time)


@dataclass(frozen=True)
class NewToken:
    """A token as it was given out."""

    info: TokenInfo
    text: str = field(repr=False)
    """The secret; the server doesn't tell it again."""


class Tokens:
    """The tokens of one server."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def create(
        self, role: Role, studies: Sequence[str] = (), lifetime: float | None = None, description: str = ""
    ) -> NewToken:
        """Gives a token out. Not tried again where the answer is lost: then look at the list, and revoke what is there.

        Args:
            role: what it is good for; each role may do what those before it may.
            studies: ids of the studies that it is for, or beginnings of ids with a `*`; all where there are none.
            lifetime: seconds until it expires; None: until it is revoked.
            description: for people.

        Raises:
            InvalidRequest: naming each field at fault.
            PermissionDenied: who asks is no administrator of all studies.
        """
        if role not in ROLES:
            raise InvalidRequest.of("role", f"is {role!r}; give one of {', '.join(ROLES)}")
        request = pb.CreateTokenRequest(role=ROLES[role], studies=studies, description=description)
        if lifetime is not None:
            request.lifetime.FromNanoseconds(int(lifetime * 1e9))
        answer = self._client.ask(request, pb.CreateTokenResponse, patience=0.0)
        return NewToken(_from_wire(answer.token), answer.text)

    def __iter__(self) -> Iterator[TokenInfo]:
        """All, in the order of their creation; those revoked and expired too."""
        page_token = ""
        while True:
            page = self._client.ask(pb.ListTokensRequest(page_token=page_token), pb.ListTokensResponse)
            yield from map(_from_wire, page.tokens)
            page_token = page.next_page_token
            if not page_token:
                return

    def revoke(self, token_id: str) -> TokenInfo:
        """Makes a token worth nothing, within seconds on every server. Raises NotFound."""
        answer = self._client.ask(pb.RevokeTokenRequest(name=f"tokens/{token_id}"), pb.RevokeTokenResponse)
        return _from_wire(answer.token)


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
