"""ApplicationCredential: one of Keystone's that a user has registered with Karbor, so that
schedules and long operations outlast their token."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ApplicationCredential:
    """With it Karbor logs in as the user, in the project the application credential is for, until
    it is removed here or in Keystone. `sealed` is its secret, sealed. `made_here` says that Karbor
    made it in Keystone, so that Karbor removes it there. `expires_at`: None, it has no end. Times
    are seconds since the epoch."""

    id: str
    auth_url: str
    project_id: str
    user_id: str
    application_credential_id: str
    name: str
    sealed: str = field(repr=False)
    made_here: bool
    expires_at: float | None
    created_at: float
