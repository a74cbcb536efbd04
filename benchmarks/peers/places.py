"""The value of a parameter, as JSON has it, at a place in [0, 1]."""

import math
from collections.abc import Mapping
from typing import Any


def at(parameter: Mapping[str, Any], u: float) -> Any:
    """From the lowest at 0 to the highest at 1; categories in equal parts."""
    if parameter["kind"] == "category":
        values = parameter["values"]
        return values[min(int(u * len(values)), len(values) - 1)]
    half = 0.5 if parameter["kind"] == "integer" else 0.0
    low, high = parameter["low"] - half, parameter["high"] + half
    value = low * math.exp(u * math.log(high / low)) if parameter["log"] else low + (high - low) * u
    inside = min(max(value, parameter["low"]), parameter["high"])
    return round(inside) if parameter["kind"] == "integer" else float(inside)
