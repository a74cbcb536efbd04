"""Tokens as they are given out and kept, and the door that knows them."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from bo_service.application.authentication import ANONYMOUS_ADMIN, Authenticator, AuthMode
from bo_service.application.tokens import (
    NewToken,
    create_first_token,
    create_token,
    digest_of,
    list_tokens,
    revoke_token,
)
from bo_service.domain.access import Role
from bo_service.domain.errors import InvalidArgument, NotFound, Unauthenticated, WrongState


@pytest.fixture
def make(app):
    """Gives out a token; its text."""

    def make(role: Role = Role.WORKER, **more) -> str:
        return create_token(app.store, app.clock, NewToken(role, **more)).text

    return make


@pytest.fixture
def authenticator(app):
    return lambda mode=AuthMode.AUTO: Authenticator(app.store, app.clock, mode)


def id_of(text: str) -> str:
    return text.split("_")[1]


def test_a_token_is_kept_as_a_digest_alone(app, make, tmp_path: Path) -> None:
    text = make(studies=("a", "b-*"), description="the lab's", lifetime=timedelta(days=1))
    (kept,) = list_tokens(app.store)
    assert (kept.role, kept.studies, kept.description) == (Role.WORKER, ("a", "b-*"), "the lab's")
    assert kept.expire_time == app.clock.now() + timedelta(days=1)
    assert kept.digest == digest_of(text)
    secret = text.split("_", 2)[2].encode()
    assert len(secret) >= 43  # 256 bits in base64
    for file in tmp_path.glob("bo.db*"):
        assert secret not in file.read_bytes()
    with sqlite3.connect(tmp_path / "bo.db") as raw:
        assert raw.execute("SELECT digest FROM tokens").fetchall() == [(kept.digest,)]


def test_no_two_are_alike(make) -> None:
    assert len({make() for _ in range(50)}) == 50


def test_a_new_token_shows_its_text_in_no_repr(app) -> None:
    issued = create_token(app.store, app.clock, NewToken(Role.ADMIN))
    assert issued.text not in repr(issued)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"studies": ("a b",)}, "studies"),
        ({"description": "x" * 201}, "description"),
        ({"description": "a\nb"}, "description"),
        ({"lifetime": timedelta(0)}, "lifetime"),
        ({"lifetime": timedelta(days=4000)}, "lifetime"),
    ],
)
def test_what_no_token_can_be_is_refused_by_field(make, more, field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        make(**more)


def test_a_door_is_open_until_the_first_token_and_never_again(app, make, authenticator) -> None:
    found = authenticator()
    assert found.authenticate(None) is ANONYMOUS_ADMIN
    text = make(Role.ADMIN)
    found.reload()
    with pytest.raises(Unauthenticated, match="missing"):
        found.authenticate(None)
    assert found.authenticate(f"Bearer {text}").role is Role.ADMIN
    revoke_token(app.store, app.clock, id_of(text))
    found.reload()
    assert not found.allows_anonymous
    with pytest.raises(Unauthenticated, match="revoked"):
        found.authenticate(f"Bearer {text}")


def test_modes_say_who_needs_a_token(make, authenticator) -> None:
    with pytest.raises(Unauthenticated):
        authenticator(AuthMode.TOKENS).authenticate(None)
    make()
    assert authenticator(AuthMode.NONE).authenticate(None) is ANONYMOUS_ADMIN


def test_the_first_token_of_all_must_be_able_to_make_others(app) -> None:
    for new in (NewToken(Role.WORKER), NewToken(Role.ADMIN, ("a",)), NewToken(Role.ADMIN, lifetime=timedelta(days=1))):
        with pytest.raises(WrongState, match="admin"):
            create_first_token(app.store, app.clock, new)
    assert list_tokens(app.store) == []
    create_first_token(app.store, app.clock, NewToken(Role.ADMIN))
    assert len(list_tokens(app.store)) == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_who_shows_a_token_is_who_it_was_made_for(make, authenticator, scheme: str) -> None:
    text = make(Role.READER, studies=("a",))
    principal = authenticator().authenticate(f"{scheme} {text}")
    assert (principal.name, principal.role, principal.studies) == (f"tokens/{id_of(text)}", Role.READER, ("a",))


def test_anything_else_is_refused_without_repeating_it(make, authenticator) -> None:
    text = make()
    other = make()
    found = authenticator()
    wrong = [
        text[:-1],
        text + "x",
        text.swapcase(),
        f"bo_{id_of(text)}_{other.split('_', 2)[2]}",
        "bo_000000000000_" + "x" * 43,
        "",
        "é" * 40,
        "\ud800",
    ]
    for given in wrong:
        with pytest.raises(Unauthenticated) as refusal:
            found.authenticate(f"Bearer {given}")
        assert not given or given not in refusal.value.message
    with pytest.raises(Unauthenticated, match="no bearer token"):
        found.authenticate(f"Basic {text}")


def test_a_token_expires(app, clock, make, authenticator) -> None:
    text = make(lifetime=timedelta(minutes=1))
    found = authenticator()
    principal = found.authenticate(f"Bearer {text}")
    clock.turn(61)
    assert not found.is_still_authorized(principal)
    with pytest.raises(Unauthenticated, match="expired at 2026-01-01 00:01"):
        found.authenticate(f"Bearer {text}")


def test_who_was_let_in_is_welcome_until_revoked(app, make, authenticator) -> None:
    text = make()
    found = authenticator()
    principal = found.authenticate(f"Bearer {text}")
    assert found.is_still_authorized(principal)
    revoke_token(app.store, app.clock, id_of(text))
    found.reload()
    assert not found.is_still_authorized(principal)


def test_who_came_while_it_was_open_goes_when_it_closes(make, authenticator) -> None:
    found = authenticator()
    principal = found.authenticate(None)
    assert found.is_still_authorized(principal)
    make()
    found.reload()
    assert not found.is_still_authorized(principal)


def test_uses_are_noted_now_and_then(app, clock, make, authenticator) -> None:
    text, unused = make(), make()
    found = authenticator()
    found.authenticate(f"Bearer {text}")
    clock.turn(5)
    found.authenticate(f"Bearer {text}")
    found.note_uses()
    uses = {t.token_id: t.last_use_time for t in list_tokens(app.store)}
    assert uses == {id_of(text): clock.now(), id_of(unused): None}


def test_a_token_that_never_was_is_not_found(app) -> None:
    with pytest.raises(NotFound, match="tokens/abc"):
        revoke_token(app.store, app.clock, "abc")
