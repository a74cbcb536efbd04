from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_UNSPECIFIED: _ClassVar[Scale]
    SCALE_LINEAR: _ClassVar[Scale]
    SCALE_LOG: _ClassVar[Scale]
SCALE_UNSPECIFIED: Scale
SCALE_LINEAR: Scale
SCALE_LOG: Scale

class ParameterValue(_message.Message):
    __slots__ = ("float_value", "int_value", "string_value", "bool_value")
    FLOAT_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    float_value: float
    int_value: int
    string_value: str
    bool_value: bool
    def __init__(self, float_value: _Optional[float] = ..., int_value: _Optional[int] = ..., string_value: _Optional[str] = ..., bool_value: bool = ...) -> None: ...

class FloatParameter(_message.Message):
    __slots__ = ("low", "high", "scale")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    scale: Scale
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., scale: _Optional[_Union[Scale, str]] = ...) -> None: ...

class IntParameter(_message.Message):
    __slots__ = ("low", "high", "scale")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    scale: Scale
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ..., scale: _Optional[_Union[Scale, str]] = ...) -> None: ...

class CategoricalParameter(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[ParameterValue]
    def __init__(self, values: _Optional[_Iterable[_Union[ParameterValue, _Mapping]]] = ...) -> None: ...

class DiscreteParameter(_message.Message):
    __slots__ = ("values", "scale")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[ParameterValue]
    scale: Scale
    def __init__(self, values: _Optional[_Iterable[_Union[ParameterValue, _Mapping]]] = ..., scale: _Optional[_Union[Scale, str]] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("parameter", "values")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    values: _containers.RepeatedCompositeFieldContainer[ParameterValue]
    def __init__(self, parameter: _Optional[str] = ..., values: _Optional[_Iterable[_Union[ParameterValue, _Mapping]]] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "float_parameter", "int_parameter", "categorical_parameter", "discrete_parameter", "default_value", "activation", "description", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FLOAT_PARAMETER_FIELD_NUMBER: _ClassVar[int]
    INT_PARAMETER_FIELD_NUMBER: _ClassVar[int]
    CATEGORICAL_PARAMETER_FIELD_NUMBER: _ClassVar[int]
    DISCRETE_PARAMETER_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    float_parameter: FloatParameter
    int_parameter: IntParameter
    categorical_parameter: CategoricalParameter
    discrete_parameter: DiscreteParameter
    default_value: ParameterValue
    activation: Activation
    description: str
    unit: str
    def __init__(self, name: _Optional[str] = ..., float_parameter: _Optional[_Union[FloatParameter, _Mapping]] = ..., int_parameter: _Optional[_Union[IntParameter, _Mapping]] = ..., categorical_parameter: _Optional[_Union[CategoricalParameter, _Mapping]] = ..., discrete_parameter: _Optional[_Union[DiscreteParameter, _Mapping]] = ..., default_value: _Optional[_Union[ParameterValue, _Mapping]] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., description: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...

class LinearConstraint(_message.Message):
    __slots__ = ("coefficients", "upper_bound")
    class CoefficientsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    COEFFICIENTS_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    coefficients: _containers.ScalarMap[str, float]
    upper_bound: float
    def __init__(self, coefficients: _Optional[_Mapping[str, float]] = ..., upper_bound: _Optional[float] = ...) -> None: ...

class EqualityConstraint(_message.Message):
    __slots__ = ("coefficients", "value")
    class CoefficientsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    COEFFICIENTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    coefficients: _containers.ScalarMap[str, float]
    value: float
    def __init__(self, coefficients: _Optional[_Mapping[str, float]] = ..., value: _Optional[float] = ...) -> None: ...

class ForbiddenCombination(_message.Message):
    __slots__ = ("parameters",)
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ParameterValue, _Mapping]] = ...) -> None: ...
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.MessageMap[str, ParameterValue]
    def __init__(self, parameters: _Optional[_Mapping[str, ParameterValue]] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("linear", "forbidden", "equality", "description")
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    FORBIDDEN_FIELD_NUMBER: _ClassVar[int]
    EQUALITY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    linear: LinearConstraint
    forbidden: ForbiddenCombination
    equality: EqualityConstraint
    description: str
    def __init__(self, linear: _Optional[_Union[LinearConstraint, _Mapping]] = ..., forbidden: _Optional[_Union[ForbiddenCombination, _Mapping]] = ..., equality: _Optional[_Union[EqualityConstraint, _Mapping]] = ..., description: _Optional[str] = ...) -> None: ...

class SearchSpace(_message.Message):
    __slots__ = ("parameters", "constraints")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    constraints: _containers.RepeatedCompositeFieldContainer[Constraint]
    def __init__(self, parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., constraints: _Optional[_Iterable[_Union[Constraint, _Mapping]]] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("parameters",)
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ParameterValue, _Mapping]] = ...) -> None: ...
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.MessageMap[str, ParameterValue]
    def __init__(self, parameters: _Optional[_Mapping[str, ParameterValue]] = ...) -> None: ...
