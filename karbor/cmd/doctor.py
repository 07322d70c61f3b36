"""The doctor wired together: a login and configuration, what earlier runs learnt, the hands."""

from __future__ import annotations

from collections.abc import Callable

from karbor import config
from karbor.clients.cloud_probe import CloudProbe
from karbor.cmd.database import open_database
from karbor.credentials.seal import Seal
from karbor.doctor.context import Configured, DiagnosticContext, DoctorOptions
from karbor.doctor.examination import examine
from karbor.doctor.report import Report
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.credential_chain import Strategy
from karbor.store.application_credentials import ApplicationCredentials
from karbor.store.probe_tokens import ProbeTokens


class Doctor:
    """One examination. `left` names what it made and could not remove, also when it was
    interrupted."""

    def __init__(self, conf: config.ConfigOpts, cloud: str | None) -> None:
        self._conf = conf
        self._cloud = cloud
        self._context: DiagnosticContext | None = None

    @property
    def left(self) -> list[str]:
        return self._context.cleanup.left if self._context else []

    def examine(self, options: DoctorOptions, told: Callable[[str], None]) -> Report:
        """Raises CredentialError when nobody can log in, StoreError."""
        conf = self._conf
        database = open_database(conf)
        try:
            probe = CloudProbe(conf, self._cloud, Seal(config.key_file(conf)))
            try:
                caller = probe.user().caller
                registered = ApplicationCredentials(database).of(caller.project_id, caller.user_id)
                self._context = DiagnosticContext(
                    probe,
                    options,
                    _configured(conf, probe, registered),
                    ProbeTokens(database),
                    told,
                )
                return examine(self._context)
            finally:
                probe.close()
        finally:
            database.dispose()


def _configured(conf: config.ConfigOpts, probe: CloudProbe, registered: ApplicationCredential | None
                ) -> Configured:
    section = conf.credentials
    return Configured(
        window=float(section.allow_expired_window), role=section.service_role,
        service_user=config.service_user_configured(conf),
        verified=probe.verified and not conf.service_user.insecure,
        longest=float(section.longest_operation), trust_roles=frozenset(section.trust_roles),
        strategy=Strategy(section.strategy), registered_until=_end(registered),
        registered_id=registered.application_credential_id if registered else "",
        registered_sealed=registered.sealed if registered else "")


def _end(registered: ApplicationCredential | None) -> float | None:
    if registered is None:
        return None
    return float("inf") if registered.expires_at is None else registered.expires_at
