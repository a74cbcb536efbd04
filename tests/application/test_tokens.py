"""Tokens as they are given out and kept, and the door that knows them."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from bo_service.application.door import EVERYBODY, AuthMode, Door
from bo_service.application.tokens import (
    NewToken,
    create_first_token,
    create_token,
    digest_of,
    list_tokens,
    revoke_token,
)
from bo_service.core.access import Role
from bo_service.core.errors import InvalidArgument, NotFound, Unauthenticated, WrongState


@pytest.fixture
def make(services):
    """Gives out a token; its text."""

    def make(role: Role = Role.WORKER, **more) -> str:
        return create_token(services.store, services.clock, NewToken(role, **more)).text

    return make


@pytest.fixture
def door(services):
    return lambda mode=AuthMode.AUTO: Door(services.store, services.clock, mode)


def id_of(text: str) -> str:
    return text.split("_")[1]


def test_a_token_is_kept_as_a_digest_alone(services, make, tmp_path: Path) -> None:
    text = make(studies=("a", "b-*"), description="the lab's", lifetime=timedelta(days=1))
    (kept,) = list_tokens(services.store)
    assert (kept.role, kept.studies, kept.description) == (Role.WORKER, ("a", "b-*"), "the lab's")
    assert kept.expire_time == services.clock.now() + timedelta(days=1)
    assert kept.digest == digest_of(text)
    secret = text.split("_", 2)[2].encode()
    assert len(secret) >= 43  # 256 bits in base64
    for file in tmp_path.glob("bo.db*"):
        assert secret not in file.read_bytes()
    with sqlite3.connect(tmp_path / "bo.db") as raw:
        assert raw.execute("SELECT digest FROM tokens").fetchall() == [(kept.digest,)]


def test_no_two_are_alike(make) -> None:
    assert len({make() for _ in range(50)}) == 50


def test_a_new_token_shows_its_text_in_no_repr(services) -> None:
    issued = create_token(services.store, services.clock, NewToken(Role.ADMIN))
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


def test_a_door_is_open_until_the_first_token_and_never_again(services, make, door) -> None:
    found = door()
    assert found.admit(None) is EVERYBODY
    text = make(Role.ADMIN)
    found.refresh()
    with pytest.raises(Unauthenticated, match="missing"):
        found.admit(None)
    assert found.admit(f"Bearer {text}").role is Role.ADMIN
    revoke_token(services.store, services.clock, id_of(text))
    found.refresh()
    assert not found.is_open
    with pytest.raises(Unauthenticated, match="revoked"):
        found.admit(f"Bearer {text}")


def test_modes_say_who_needs_a_token(make, door) -> None:
    with pytest.raises(Unauthenticated):
        door(AuthMode.TOKENS).admit(None)
    make()
    assert door(AuthMode.NONE).admit(None) is EVERYBODY


def test_the_first_token_of_all_must_be_able_to_make_others(services) -> None:
    for new in (NewToken(Role.WORKER), NewToken(Role.ADMIN, ("a",)), NewToken(Role.ADMIN, lifetime=timedelta(days=1))):
        with pytest.raises(WrongState, match="admin"):
            create_first_token(services.store, services.clock, new)
    assert list_tokens(services.store) == []
    create_first_token(services.store, services.clock, NewToken(Role.ADMIN))
    assert len(list_tokens(services.store)) == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_who_shows_a_token_is_who_it_was_made_for(make, door, scheme: str) -> None:
    text = make(Role.READER, studies=("a",))
    principal = door().admit(f"{scheme} {text}")
    assert (principal.name, principal.role, principal.studies) == (f"tokens/{id_of(text)}", Role.READER, ("a",))


def test_anything_else_is_refused_without_repeating_it(make, door) -> None:
    text = make()
    other = make()
    found = door()
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
            found.admit(f"Bearer {given}")
        assert not given or given not in refusal.value.message
    with pytest.raises(Unauthenticated, match="no bearer token"):
        found.admit(f"Basic {text}")


def test_a_token_expires(services, clock, make, door) -> None:
    text = make(lifetime=timedelta(minutes=1))
    found = door()
    principal = found.admit(f"Bearer {text}")
    clock.turn(61)
    assert not found.is_still_welcome(principal)
    with pytest.raises(Unauthenticated, match="expired at 2026-01-01 00:01"):
        found.admit(f"Bearer {text}")


def test_who_was_let_in_is_welcome_until_revoked(services, make, door) -> None:
    text = make()
    found = door()
    principal = found.admit(f"Bearer {text}")
    assert found.is_still_welcome(principal)
    revoke_token(services.store, services.clock, id_of(text))
    found.refresh()
    assert not found.is_still_welcome(principal)


def test_who_came_while_it_was_open_goes_when_it_closes(make, door) -> None:
    found = door()
    principal = found.admit(None)
    assert found.is_still_welcome(principal)
    make()
    found.refresh()
    assert not found.is_still_welcome(principal)


def test_uses_are_noted_now_and_then(services, clock, make, door) -> None:
    text, unused = make(), make()
    found = door()
    found.admit(f"Bearer {text}")
    clock.turn(5)
    found.admit(f"Bearer {text}")
    found.note_uses()
    uses = {t.token_id: t.last_use_time for t in list_tokens(services.store)}
    assert uses == {id_of(text): clock.now(), id_of(unused): None}


def test_a_token_that_never_was_is_not_found(services) -> None:
    with pytest.raises(NotFound, match="tokens/abc"):
        revoke_token(services.store, services.clock, "abc")
