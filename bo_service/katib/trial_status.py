"""Katib's trials in the Kubernetes API: marking one as stopped early, from inside the cluster."""

import json
import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bo_service.domain.errors import InvalidArgument, NotFound, PermissionDenied, StorageUnavailable, WrongState

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TRIAL_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""A name of Kubernetes, which is part of a path here."""
STOPPED = "EarlyStopped"
MAX_ATTEMPTS = 5
"""Katib's controller updates the same status; each attempt begins with what it wrote last."""
REFUSALS = {401: PermissionDenied, 403: PermissionDenied, 404: NotFound}
CONFLICT = 409


@dataclass(frozen=True)
class TrialStatusWriter:
    """Writes the status of the trials of a namespace."""

    url: str
    """Of the Kubernetes API server."""
    account: Path
    """Folder with the service account's `token`, `namespace` and `ca.crt`, which Kubernetes renews."""
    timeout_s: float = 10.0

    @classmethod
    def of_pod(cls) -> "TrialStatusWriter | None":
        """Return that of the pod in which this process runs; None outside of a cluster."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (SERVICE_ACCOUNT / "token").exists():
            return None
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", SERVICE_ACCOUNT)

    def mark_stopped(self, name: str) -> None:
        """Add the condition that a trial was stopped early, unless it has it.

        Args:
            name: of the trial.

        Raises:
            InvalidArgument: the name is none of Kubernetes.
            NotFound, PermissionDenied: as the API server says.
            WrongState: others changed the trial each time.
            StorageUnavailable: the API server did not answer, or failed.
        """
        if not TRIAL_NAME.fullmatch(name):
            raise InvalidArgument.of("trial_name", f"is {name[:80]!r}; give the name of a trial in Kubernetes")
        for _ in range(MAX_ATTEMPTS):
            trial = self._call("GET", name)
            conditions = trial.get("status", {}).get("conditions", [])
            if any(c.get("type") == STOPPED and c.get("status") == "True" for c in conditions):
                return
            version = trial.get("metadata", {}).get("resourceVersion")
            change = {"metadata": {"resourceVersion": version}, "status": {"conditions": [*conditions, _condition()]}}
            try:
                self._call("PATCH", f"{name}/status", change)
            except HTTPError as error:
                error.close()
            else:
                return
        raise WrongState(f"trial {name!r} was changed by others {MAX_ATTEMPTS} times while it was marked; retry")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a call about a trial. Raises HTTPError for a conflict alone; else as `mark_stopped`."""
        namespace, token = ((self.account / file).read_text().strip() for file in ("namespace", "token"))
        address = f"{self.url}/apis/kubeflow.org/v1beta1/namespaces/{namespace}/trials/{path}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
        request = Request(address, None if body is None else json.dumps(body).encode(), headers, method=method)  # noqa: S310  # its scheme is the operator's
        trusted = ssl.create_default_context(cafile=self.account / "ca.crt") if address.startswith("https") else None
        try:
            with urlopen(request, timeout=self.timeout_s, context=trusted) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            if error.code == CONFLICT:
                raise
            said = f"{method} {address}: the Kubernetes API says {error.code} {error.reason}"
            error.close()
            if error.code in REFUSALS:
                raise REFUSALS[error.code](
                    f"{said}; the service account needs `get` of trials and `patch` of trials/status"
                ) from error
            raise StorageUnavailable(f"{said}; retry") from error
        except (OSError, HTTPException, ValueError) as error:
            raise StorageUnavailable(
                f"{method} {address}: the Kubernetes API did not answer ({error}); retry"
            ) from error


def _condition() -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": STOPPED,
        "status": "True",
        "reason": "TrialEarlyStopped",
        "message": "The trial was stopped by the median rule of bo-service",
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
