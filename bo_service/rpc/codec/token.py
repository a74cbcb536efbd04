"""Conversion of tokens to and from messages."""

import re
from datetime import datetime

from bo_api.v1 import token_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.application.tokens import NewToken
from bo_service.domain.access import Principal, Role, Token
from bo_service.domain.errors import InvalidArgument

NAME = re.compile(r"tokens/([0-9a-z]{1,32})")
ROLES = {pb.ROLE_READER: Role.READER, pb.ROLE_WORKER: Role.WORKER, pb.ROLE_ADMIN: Role.ADMIN}
ROLES_TO_WIRE = {role: number for number, role in ROLES.items()}


def new_token_from_wire(request: pb.CreateTokenRequest) -> NewToken:
    """Return the arguments of CreateToken.

    Raises:
        InvalidArgument: the role or the lifetime is invalid.
    """
    role = ROLES.get(request.role)
    if role is None:
        raise InvalidArgument.of("role", f"is {request.role}; give ROLE_READER, ROLE_WORKER or ROLE_ADMIN")
    lifetime = None
    if request.HasField("lifetime"):
        try:
            lifetime = request.lifetime.ToTimedelta()
        except (ValueError, OverflowError) as error:
            raise InvalidArgument.of("lifetime", "is not a valid duration; give seconds, or leave it out") from error
    return NewToken(role, tuple(request.studies), request.description, lifetime)


def token_id_from_wire(name: str) -> str:
    """Return the token id.

    Raises:
        InvalidArgument: the name has another form.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise InvalidArgument.of("name", f"is {name[:80]!r}; give tokens/TOKEN, as ListTokens shows them")
    return match[1]


def token_to_wire(token: Token) -> pb.Token:
    """Return the message, which never contains the secret."""
    return pb.Token(
        name=token.name,
        role=ROLES_TO_WIRE[token.role],
        studies=token.studies,
        description=token.description,
        create_time=_timestamp(token.create_time),
        expire_time=_timestamp(token.expire_time),
        revoke_time=_timestamp(token.revoke_time),
        last_use_time=_timestamp(token.last_use_time),
    )


def caller_to_wire(principal: Principal) -> pb.GetCallerResponse:
    """Return the response of GetCaller."""
    token = "" if principal is ANONYMOUS_ADMIN else principal.name
    return pb.GetCallerResponse(role=ROLES_TO_WIRE[principal.role], studies=principal.studies, token=token)


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp
