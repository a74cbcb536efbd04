"""Tokens on the wire."""

import re
from datetime import datetime

from bo_api.v1 import token_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from bo_service.application.door import EVERYBODY
from bo_service.application.tokens import NewToken
from bo_service.core.access import Principal, Role, Token
from bo_service.core.errors import InvalidArgument

NAME = re.compile(r"tokens/([0-9a-z]{1,32})")
ROLES = {pb.ROLE_READER: Role.READER, pb.ROLE_WORKER: Role.WORKER, pb.ROLE_ADMIN: Role.ADMIN}
ROLES_TO_WIRE = {role: number for number, role in ROLES.items()}


def new_token_from_wire(request: pb.CreateTokenRequest) -> NewToken:
    """Raises InvalidArgument."""
    role = ROLES.get(request.role)
    if role is None:
        raise InvalidArgument.of("role", f"is {request.role}; give ROLE_READER, ROLE_WORKER or ROLE_ADMIN")
    lifetime = None
    if request.HasField("lifetime"):
        try:
            lifetime = request.lifetime.ToTimedelta()
        except (ValueError, OverflowError) as error:
            raise InvalidArgument.of("lifetime", "is no duration; give seconds, or leave it out") from error
    return NewToken(role, tuple(request.studies), request.description, lifetime)


def token_id_from_wire(name: str) -> str:
    """Raises InvalidArgument."""
    found = NAME.fullmatch(name)
    if not found:
        raise InvalidArgument.of("name", f"is {name[:80]!r}; give tokens/TOKEN, as ListTokens shows them")
    return found[1]


def token_to_wire(token: Token) -> pb.Token:
    return pb.Token(
        name=token.name,
        role=ROLES_TO_WIRE[token.role],
        studies=token.studies,
        description=token.description,
        create_time=_moment(token.create_time),
        expire_time=_moment(token.expire_time),
        revoke_time=_moment(token.revoke_time),
        last_use_time=_moment(token.last_use_time),
    )


def caller_to_wire(principal: Principal) -> pb.GetCallerResponse:
    token = "" if principal is EVERYBODY else principal.name
    return pb.GetCallerResponse(role=ROLES_TO_WIRE[principal.role], studies=principal.studies, token=token)


def _moment(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    found = Timestamp()
    found.FromDatetime(at)
    return found
