"""Katib's early stopping service, which stops no trial (record 0209)."""

from typing import Any

import grpc
from katib_api.v1beta1 import api_pb2 as pb

from bo_service.domain.errors import InvalidArgument

SERVICE: str = pb.DESCRIPTOR.services_by_name["EarlyStopping"].full_name
INSTEAD = "list Katib's own medianstop service under earlyStoppings of the Katib config, and name it medianstop"


def early_stopping_handler() -> grpc.GenericRpcHandler:
    """Return the handler of `api.v1.beta1.EarlyStopping`.

    `SetTrialStatus` is missing, and so UNIMPLEMENTED: it would have to write to Kubernetes.
    """
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "GetEarlyStoppingRules": grpc.unary_unary_rpc_method_handler(
            get_rules, pb.GetEarlyStoppingRulesRequest.FromString, pb.GetEarlyStoppingRulesReply.SerializeToString
        ),
        "ValidateEarlyStoppingSettings": grpc.unary_unary_rpc_method_handler(
            refuse_settings,
            pb.ValidateEarlyStoppingSettingsRequest.FromString,
            pb.ValidateEarlyStoppingSettingsReply.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def get_rules(request: pb.GetEarlyStoppingRulesRequest, context: grpc.ServicerContext) -> pb.GetEarlyStoppingRulesReply:
    """Return no rule."""
    return pb.GetEarlyStoppingRulesReply()


def refuse_settings(
    request: pb.ValidateEarlyStoppingSettingsRequest, context: grpc.ServicerContext
) -> pb.ValidateEarlyStoppingSettingsReply:
    """Refuse all settings, so that an experiment which expects early stopping doesn't begin.

    Raises:
        InvalidArgument: always.
    """
    name = request.early_stopping.algorithm_name[:80]
    raise InvalidArgument.of("early_stopping.algorithm_name", f"is {name!r}, which is not served here: {INSTEAD}")
