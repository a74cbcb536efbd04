"""The token service."""

import grpc
from bo_api.v1 import token_service_pb2 as pb
from bo_api.v1 import token_service_pb2_grpc as rpc

from bo_service import request_context
from bo_service.application import tokens
from bo_service.application.authentication import Authenticator
from bo_service.application.context import AppContext
from bo_service.rpc import pages
from bo_service.rpc.codec.token import caller_to_wire, new_token_from_wire, token_id_from_wire, token_to_wire


class TokenServicer(rpc.TokenServiceServicer):
    """The implementation of `bo_api.v1.TokenService`. It raises errors; an interceptor converts them to statuses."""

    def __init__(self, app: AppContext, authenticator: Authenticator) -> None:
        self._store = app.store
        self._clock = app.clock
        self._authenticator = authenticator

    def CreateToken(self, request: pb.CreateTokenRequest, context: grpc.ServicerContext) -> pb.CreateTokenResponse:
        new = new_token_from_wire(request)
        create = tokens.create_first_token if self._authenticator.is_bootstrap else tokens.create_token
        issued = create(self._store, self._clock, new)
        self._authenticator.reload()
        return pb.CreateTokenResponse(token=token_to_wire(issued.token), text=issued.text)

    def ListTokens(self, request: pb.ListTokensRequest, context: grpc.ServicerContext) -> pb.ListTokensResponse:
        begin, size = pages.number_token(request.page_token), pages.page_size(request.page_size)
        all_tokens = tokens.list_tokens(self._store)
        next_page_token = str(begin + size) if begin + size < len(all_tokens) else ""
        page = [token_to_wire(token) for token in all_tokens[begin : begin + size]]
        return pb.ListTokensResponse(tokens=page, next_page_token=next_page_token)

    def RevokeToken(self, request: pb.RevokeTokenRequest, context: grpc.ServicerContext) -> pb.RevokeTokenResponse:
        revoked = tokens.revoke_token(self._store, self._clock, token_id_from_wire(request.name))
        self._authenticator.reload()
        return pb.RevokeTokenResponse(token=token_to_wire(revoked))

    def GetCaller(self, request: pb.GetCallerRequest, context: grpc.ServicerContext) -> pb.GetCallerResponse:
        return caller_to_wire(request_context.CURRENT.get().principal)
