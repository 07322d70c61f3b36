"""Application credentials as Keystone describes them to whoever logs in with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from keystoneauth1 import exceptions as ksa

from karbor.credentials.refusals import away
from karbor.credentials.session import OperationSession
from karbor.credentials.trustee import KEYSTONE
from karbor.domain.errors import KeystoneUnreachable, TokenRejected


@dataclass(frozen=True)
class About:
    """`expires_at` is in seconds since the epoch; None: it has no end."""

    name: str
    expires_at: float | None


def path_of(user_id: str) -> str:
    return f"/users/{user_id}/application_credentials"


def describe(session: OperationSession, user_id: str, id: str) -> About:
    """Return the application credential that a login is made with. Raises KeystoneUnreachable, and
    TokenRejected when its own rules forbid to look at it."""
    try:
        answer = session.get(f"{path_of(user_id)}/{id}", endpoint_filter=KEYSTONE, log=False)
    except (ksa.ClientException, OSError) as error:
        nobody: KeystoneUnreachable | None = away(error, session.auth.auth_url)
        raise nobody or TokenRejected(
            f"the application credential {id} may not be looked at with itself: "
            f"{' '.join(str(error).split())}",
            remedy="its access rules must let it read itself") from None
    found = answer.json()["application_credential"]
    ends = found.get("expires_at")
    return About(str(found.get("name") or ""), _moment(ends) if ends else None)


def _moment(text: str) -> float:
    """Return a time of Keystone's in seconds since the epoch. Its times are in UTC, whether they
    say so or not."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
