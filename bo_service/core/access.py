"""Who may do what: roles, tokens as they are kept, and whoever calls."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from bo_service.core.errors import InvalidArgument, PermissionDenied, Violation
from bo_service.core.limits import MAX_TOKEN_STUDIES

PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\*?|\*")


class Role(Enum):
    """Each may do what those before it may."""

    READER = "reader"
    """Looks at studies and asks the surrogate."""
    WORKER = "worker"
    """Creates studies, changes their settings, and runs trials."""
    ADMIN = "admin"
    """Deletes, and gives out tokens."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True)
class Token:
    """A bearer token as it is kept: of its text, the digest alone."""

    token_id: str
    """The part that is no secret."""
    digest: str
    """SHA-256 of the whole text, in hexadecimal."""
    role: Role
    create_time: datetime
    studies: tuple[str, ...] = ()
    """Ids of the studies that it is for, or their beginnings with a `*`; empty for all."""
    description: str = ""
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"tokens/{self.token_id}"

    def is_valid(self, at: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoke_time is None and (self.expire_time is None or at < self.expire_time)

    def revoke(self, at: datetime) -> "Token":
        """Again is as good as once."""
        return replace(self, revoke_time=self.revoke_time or at)


@dataclass(frozen=True)
class Principal:
    """Whoever calls."""

    name: str
    """For logs and refusals: `tokens/{token}`, or what stands for callers without one."""
    role: Role
    studies: tuple[str, ...] = ()
    """As a token's."""

    def sees(self, study_id: str) -> bool:
        """Whether the study is among those it may deal with."""
        return not self.studies or any(_covers(pattern, study_id) for pattern in self.studies)

    def require(self, role: Role, what: str) -> None:
        """Raises PermissionDenied where the role isn't enough for `what`, a method."""
        if not self.role.includes(role):
            raise PermissionDenied(
                f"{what} needs the role {role.value}, and {self.name} has the role {self.role.value}; "
                "ask an administrator for a token of that role",
                role=role.value,
            )

    def require_study(self, study_id: str) -> None:
        """Raises PermissionDenied where the study isn't among its own, whether or not it exists."""
        if not self.sees(study_id):
            raise PermissionDenied(
                f"studies/{study_id} is none of those that {self.name} is for ({', '.join(self.studies)}); "
                "ask an administrator for a token for that study"
            )

    def require_every_study(self, what: str) -> None:
        """Raises PermissionDenied where it is limited to some."""
        if self.studies:
            raise PermissionDenied(
                f"{what} needs a token for all studies, and {self.name} is for {', '.join(self.studies)}; "
                "use one without studies"
            )


def check_scope(studies: Sequence[str]) -> tuple[str, ...]:
    """Raises InvalidArgument where one is neither a study's id nor the beginning of one with a `*`."""
    if len(studies) > MAX_TOKEN_STUDIES:
        raise InvalidArgument.of("studies", f"has {len(studies)}; at most {MAX_TOKEN_STUDIES}")
    faults = [
        Violation(f"studies[{i}]", f"is {given[:80]!r}; give a study's id, or the beginning of ids and '*'")
        for i, given in enumerate(studies)
        if not PATTERN.fullmatch(given)
    ]
    if faults:
        raise InvalidArgument(faults)
    return tuple(dict.fromkeys(studies))


def _covers(pattern: str, study_id: str) -> bool:
    return study_id.startswith(pattern[:-1]) if pattern.endswith("*") else study_id == pattern
