"""The filter of trials: words, and conditions such as `lr<0.01 norm=batch,layer`; all must match.

    FILTER    = TERM {space TERM}
    TERM      = WORD | COLUMN OPERATOR VALUE {"," VALUE}
    OPERATOR  = "<" | "<=" | ">" | ">=" | "=" | "==" | "!="

A word matches trials that have it in any column. Columns are named by their key or title. A list of values is for `=`,
which needs one of them, and `!=`, which needs none. Quotation marks hold words, names and values with spaces; spaces
around an operator change nothing.
"""

import math
import re
from collections.abc import Callable, Sequence
from operator import ge, gt, le, lt

from bo_client.errors import InvalidRequest
from bo_client.models import Trial
from bo_client.parameters import Value
from bo_client.trial_columns import TrialColumn, column_named, text_of

MAX_LENGTH = 2000
TERM = re.compile(r'(?:"[^"]*"|[^\s"])+')
COMPARISON = re.compile(r'("[^"]*"|[^\s<>=!"]+)(<=|>=|!=|==|=|<|>)(.*)', re.DOTALL)
SPACED = re.compile(r'("[^"]*")|\s*(<=|>=|!=|==|=|<|>)\s*')
"""A quotation, or an operator with the spaces around it."""
VALUE = re.compile(r'"[^"]*"|[^,"]+')
ORDERED: dict[str, Callable[[float, float], bool]] = {"<": lt, ">": gt, "<=": le, ">=": ge}

Condition = Callable[[Trial], bool]


def parse(text: str, columns: Sequence[TrialColumn], has_words: bool = True) -> Condition:
    """Return the condition that a trial must meet.

    Args:
        text: the filter; empty for all trials.
        columns: the columns of the table.
        has_words: whether words are searched for; otherwise they are refused.

    Raises:
        InvalidRequest: a part of the filter has no meaning.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidRequest.of("filter", f"has {len(text)} characters; at most {MAX_LENGTH}")
    if text.count('"') % 2:
        raise InvalidRequest.of("filter", "has a quotation mark that is not closed")
    terms = TERM.findall(SPACED.sub(lambda match: match[1] or match[2], text))
    for term in terms:
        if not has_words and COMPARISON.fullmatch(term) is None:
            raise InvalidRequest.of("filter", f"{term!r} is not a condition such as 'loss<0.3'")
    conditions = [_condition(term, columns) for term in terms]
    return lambda trial: all(condition(trial) for condition in conditions)


def _condition(term: str, columns: Sequence[TrialColumn]) -> Condition:
    match = COMPARISON.fullmatch(term)
    if match is None:
        return _has_word(_unquoted(term).lower(), columns)
    name, operator, given = _unquoted(match[1]), match[2], match[3]
    column = column_named(name, columns, "filter")
    values = [_unquoted(value) for value in VALUE.findall(given)]
    if not values:
        example = _example(column, operator)
        raise InvalidRequest.of("filter", f"{name}{operator} has no value; give one, such as {example}")
    if operator in ORDERED:
        return _ordered(column, operator, values)
    return _equal(column, values, operator != "!=")


def _unquoted(text: str) -> str:
    return text.replace('"', "")


def _example(column: TrialColumn, operator: str) -> str:
    if column.is_numeric:
        return f"{column.key}{operator}0.5"
    return f"{column.key}{operator}{column.values[0] if column.values else 'text'}"


def _has_word(word: str, columns: Sequence[TrialColumn]) -> Condition:
    return lambda trial: any(word in text for column in columns for text in _texts(column, trial))


def _texts(column: TrialColumn, trial: Trial) -> Sequence[str]:
    """Return the values of a trial in lower case."""
    value, synonym = column.read(trial), column.synonym(trial)
    if value is None or column.kind == "moment":
        return ()
    texts = [text.lower() for text in value] if isinstance(value, tuple | list) else [_text(value)]
    return [*texts, synonym.lower()] if synonym else texts


def _text(value: Value | Sequence[str]) -> str:
    return text_of(value).lower() if isinstance(value, str | bool | int | float) else ""


def _ordered(column: TrialColumn, operator: str, values: Sequence[str]) -> Condition:
    if not column.is_numeric:
        raise InvalidRequest.of("filter", f"{column.key} is text; compare it with = or !=")
    if len(values) > 1:
        raise InvalidRequest.of("filter", f"{column.key}{operator} has {len(values)} values; give one")
    limit, holds = _number(column, values[0]), ORDERED[operator]

    def condition(trial: Trial) -> bool:
        value = column.read(trial)
        return isinstance(value, int | float) and holds(value, limit)

    return condition


def _equal(column: TrialColumn, values: Sequence[str], is_wanted: bool) -> Condition:
    if column.is_numeric:
        numbers = [_number(column, value) for value in values]
        return lambda trial: (column.read(trial) in numbers) is is_wanted
    wanted = {value.lower() for value in values}
    unknown = wanted.difference(column.values) if column.values else ()
    if unknown:
        listed = ", ".join(column.values[:30])
        raise InvalidRequest.of("filter", f"{column.key} is never {sorted(unknown)[0]!r}; its values are {listed}")
    return lambda trial: (not wanted.isdisjoint(_texts(column, trial))) is is_wanted


def _number(column: TrialColumn, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise InvalidRequest.of("filter", f"{column.key} is a number, and {text!r} is not")
    return number
