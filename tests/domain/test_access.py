"""Roles, and the studies that a token is for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.access import Principal, Role, Token, check_scope
from bo_service.domain.errors import InvalidArgument, PermissionDenied
from bo_service.domain.limits import MAX_TOKEN_STUDIES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)


def test_each_role_may_do_what_those_before_it_may() -> None:
    table = {(a, b): a.includes(b) for a in Role for b in Role}
    refused = {pair for pair, may in table.items() if not may}
    assert refused == {
        (Role.READER, Role.WORKER),
        (Role.READER, Role.ADMIN),
        (Role.WORKER, Role.ADMIN),
    }


def test_a_refusal_says_what_is_needed_and_what_there_is() -> None:
    with pytest.raises(PermissionDenied, match=r"DeleteStudy needs the role admin, and tokens/a has the role worker"):
        Principal("tokens/a", Role.WORKER).require(Role.ADMIN, "DeleteStudy")
    Principal("tokens/a", Role.WORKER).require(Role.READER, "GetStudy")


@given(ids, ids)
def test_a_name_covers_itself_alone_and_a_beginning_all_that_begin_so(one: str, other: str) -> None:
    assert Principal("t", Role.READER, (one,)).sees(other) == (one == other)
    assert Principal("t", Role.READER, (f"{one}*",)).sees(one + other)
    assert Principal("t", Role.READER, (f"{one}*",)).sees(other) == other.startswith(one)
    assert Principal("t", Role.READER).sees(other)
    assert Principal("t", Role.READER, ("*",)).sees(other)


def test_studies_that_are_not_its_own_are_refused_by_name() -> None:
    mine = Principal("tokens/a", Role.ADMIN, ("vision-*", "first"))
    mine.require_study("first")
    with pytest.raises(PermissionDenied, match=r"has no access to studies/second, but to vision-\*, first"):
        mine.require_study("second")
    with pytest.raises(PermissionDenied, match="all studies"):
        mine.require_every_study("CreateToken")


@pytest.mark.parametrize("pattern", ["", "a b", "-a", "a*b", "**", "studies/a", "a" * 64, "é"])
def test_what_is_no_id_and_no_beginning_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match=r"studies\[1\]"):
        check_scope(["ok", pattern])


def test_a_scope_has_a_bound_and_no_repetitions() -> None:
    assert check_scope(["a", "b*", "a"]) == ("a", "b*")
    with pytest.raises(InvalidArgument, match=str(MAX_TOKEN_STUDIES)):
        check_scope(["a"] * (MAX_TOKEN_STUDIES + 1))


def test_a_token_is_valid_until_it_expires_or_is_revoked() -> None:
    token = Token("a", "d", Role.READER, NOW, expire_time=NOW + timedelta(hours=1))
    assert token.is_valid(NOW)
    assert not token.is_valid(NOW + timedelta(hours=1))
    revoked = token.revoke(NOW)
    assert not revoked.is_valid(NOW)
    assert revoked.revoke(NOW + timedelta(minutes=1)).revoke_time == NOW
