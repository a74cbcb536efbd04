"""The token service on the wire."""

import grpc
from bo_api.v1 import token_service_pb2 as pb
from bo_api.v1 import token_service_pb2_grpc as rpc

from bo_service.adapters import calls
from bo_service.adapters.grpc import requests
from bo_service.adapters.grpc.token_codec import caller_to_wire, new_token_from_wire, token_id_from_wire, token_to_wire
from bo_service.application import tokens
from bo_service.application.door import Door
from bo_service.application.services import Services


class TokenServicer(rpc.TokenServiceServicer):
    """All of `bo_api.v1.TokenService`. Refusals are raised; an interceptor makes statuses of them."""

    def __init__(self, services: Services, door: Door) -> None:
        self._store = services.store
        self._clock = services.clock
        self._door = door

    def CreateToken(self, request: pb.CreateTokenRequest, context: grpc.ServicerContext) -> pb.CreateTokenResponse:
        new = new_token_from_wire(request)
        create = tokens.create_first_token if self._door.awaits_first_token else tokens.create_token
        issued = create(self._store, self._clock, new)
        self._door.refresh()
        return pb.CreateTokenResponse(token=token_to_wire(issued.token), text=issued.text)

    def ListTokens(self, request: pb.ListTokensRequest, context: grpc.ServicerContext) -> pb.ListTokensResponse:
        begin, size = requests.number_token(request.page_token), requests.page_size(request.page_size)
        found = tokens.list_tokens(self._store)
        more = str(begin + size) if begin + size < len(found) else ""
        page = [token_to_wire(token) for token in found[begin : begin + size]]
        return pb.ListTokensResponse(tokens=page, next_page_token=more)

    def RevokeToken(self, request: pb.RevokeTokenRequest, context: grpc.ServicerContext) -> pb.RevokeTokenResponse:
        revoked = tokens.revoke_token(self._store, self._clock, token_id_from_wire(request.name))
        self._door.refresh()
        return pb.RevokeTokenResponse(token=token_to_wire(revoked))

    def GetCaller(self, request: pb.GetCallerRequest, context: grpc.ServicerContext) -> pb.GetCallerResponse:
        return caller_to_wire(calls.principal())
