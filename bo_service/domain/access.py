"""Access control: roles, stored tokens and principals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from bo_service.domain.errors import InvalidArgument, PermissionDenied, Violation
from bo_service.domain.limits import MAX_TOKEN_STUDIES

SCOPE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\*?|\*")


class Role(Enum):
    """A role. Each role includes the rights of the roles before it."""

    READER = "reader"
    """May read studies and query the surrogate."""
    WORKER = "worker"
    """May also create studies, change their settings, and run trials."""
    ADMIN = "admin"
    """May also delete studies and manage tokens."""

    def includes(self, other: "Role") -> bool:
        """Return whether this role has all rights of the other."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True)
class Token:
    """A bearer token as stored: the digest replaces the secret text."""

    token_id: str
    """The public part of the token."""
    digest: str
    """SHA-256 of the whole text, in hexadecimal."""
    role: Role
    create_time: datetime
    studies: tuple[str, ...] = ()
    """Study ids that the token gives access to, or prefixes that end with `*`; empty for all studies."""
    description: str = ""
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"tokens/{self.token_id}"

    def is_valid(self, at: datetime) -> bool:
        """Return whether the token is neither revoked nor expired."""
        return self.revoke_time is None and (self.expire_time is None or at < self.expire_time)

    def revoke(self, at: datetime) -> "Token":
        """Return the token as revoked. A token that is revoked already keeps its time."""
        return replace(self, revoke_time=self.revoke_time or at)


@dataclass(frozen=True)
class Principal:
    """The authenticated caller."""

    name: str
    """Name in logs and errors: `tokens/{token}`, or the name of an anonymous principal."""
    role: Role
    studies: tuple[str, ...] = ()
    """Study ids or prefixes, as in `Token.studies`."""

    def sees(self, study_id: str) -> bool:
        """Return whether the principal has access to the study."""
        return not self.studies or any(_covers(pattern, study_id) for pattern in self.studies)

    def require(self, role: Role, what: str) -> None:
        """Check that the principal has a role.

        Args:
            role: the role that the method needs.
            what: the method, for the message.

        Raises:
            PermissionDenied: the principal's role is lower.
        """
        if not self.role.includes(role):
            raise PermissionDenied(
                f"{what} needs the role {role.value}, and {self.name} has the role {self.role.value}; "
                "ask an administrator for a token of that role",
                role=role.value,
            )

    def require_study(self, study_id: str) -> None:
        """Check that the principal has access to a study, whether or not the study exists.

        Raises:
            PermissionDenied: the study is out of scope.
        """
        if self.studies and not self.sees(study_id):
            raise PermissionDenied(
                f"{self.name} has no access to studies/{study_id}, but to {', '.join(self.studies)}; "
                "ask an administrator for a token for that study"
            )

    def require_every_study(self, what: str) -> None:
        """Check that the principal has access to all studies.

        Raises:
            PermissionDenied: the token is limited to some studies.
        """
        if self.studies:
            raise PermissionDenied(
                f"{what} needs a token for all studies, and {self.name} is limited to {', '.join(self.studies)}; "
                "use a token without a list of studies"
            )


def check_scope(studies: Sequence[str]) -> tuple[str, ...]:
    """Return the scope of a token without duplicates.

    Args:
        studies: study ids, or prefixes that end with `*`.

    Raises:
        InvalidArgument: an entry is neither, or there are too many.
    """
    if len(studies) > MAX_TOKEN_STUDIES:
        raise InvalidArgument.of("studies", f"has {len(studies)}; at most {MAX_TOKEN_STUDIES}")
    violations = [
        Violation(f"studies[{i}]", f"is {entry[:80]!r}; give a study id, or a prefix that ends with '*'")
        for i, entry in enumerate(studies)
        if not SCOPE_PATTERN.fullmatch(entry)
    ]
    if violations:
        raise InvalidArgument(violations)
    return tuple(dict.fromkeys(studies))


def _covers(pattern: str, study_id: str) -> bool:
    return study_id.startswith(pattern[:-1]) if pattern.endswith("*") else study_id == pattern
