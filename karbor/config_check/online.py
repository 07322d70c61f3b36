"""What only a cloud, a database and banks can tell: do they take what the configuration says?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from karbor import config
from karbor.credentials.authority import Authority
from karbor.doctor.finding import Finding, Verdict
from karbor.domain.errors import KarborError
from karbor.providers.catalog import ProviderCatalog
from karbor.store.connect import connect, described, ping

SERVICE_TYPE = "data-protect"
_CREATE = "openstack endpoint create data-protect public 'http://HOST:8799/v1/$(project_id)s'"


def online(conf: config.ConfigOpts) -> Iterator[Finding]:
    """Check what can only be seen online; yield the findings as they come. Of a bank in a directory
    that is not there yet one is made, as by its first use."""
    authority = Authority(conf)
    if config.service_user_configured(conf):
        yield from _keystone(conf, authority)
    yield _tried("database", "", lambda: _database(config.database_url(conf)))
    providers = ProviderCatalog(conf, lambda: authority)
    try:
        for info in providers.list():
            if info.enabled:
                yield _tried("bank", info.name, partial(_listed, providers, info))
    except KarborError as error:
        yield _broken("bank", "", error)
    finally:
        providers.close()


def _keystone(conf: config.ConfigOpts, authority: Authority) -> Iterator[Finding]:
    login = _tried("login", "[service_user]", lambda: _login(authority))
    yield login
    if login.verdict is not Verdict.OK:
        return
    if config.trustee_section(conf) == "trustee":
        yield _tried("login", "[trustee]",
                     lambda: f"logged in as the user {authority.trustee.user_id}")
    yield from _endpoints(conf, authority)


def _login(authority: Authority) -> str:
    service = authority.service()
    access = service.get_access(service.session)
    return (f"logged in as {access.username} in {access.project_name}, with the role "
            f"{service.role}")


def _endpoints(conf: config.ConfigOpts, authority: Authority) -> Iterator[Finding]:
    service = authority.service()
    access = service.get_access(service.session)
    for interface in ("public", "internal", "admin"):
        urls = access.service_catalog.get_urls(
            service_type=SERVICE_TYPE, interface=interface, region_name=conf.region_name)
        subject = f"{SERVICE_TYPE}, {interface}"
        if not urls and interface == "public":
            yield Finding("endpoint", subject, Verdict.BROKEN, "the catalog has none",
                          means="no client finds Karbor", fix=_CREATE)
        for url in urls:
            good = url.rstrip("/").endswith(f"/v1/{access.project_id}")
            yield Finding(
                "endpoint", subject, Verdict.OK if good else Verdict.BROKEN, url,
                means="" if good else "clients ask at addresses that Karbor does not have",
                fix="" if good else "it ends with /v1/$(project_id)s")


def _database(url: str) -> str:
    shown, file = described(url)
    if file is not None and not file.exists():
        return f"{shown}: not there yet, made at the first start"
    engine = connect(url)
    try:
        ping(engine)
    finally:
        engine.dispose()
    return f"{shown}: answers"


def _listed(providers: ProviderCatalog, one: Any) -> str:
    providers.open(one).bank.list(limit=1)
    return f"{one.bank}: listed"


def _tried(check: str, subject: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(check, subject, Verdict.OK, attempt())
    except KarborError as error:
        return _broken(check, subject, error)


def _broken(check: str, subject: str, error: KarborError) -> Finding:
    return Finding(check, subject, Verdict.BROKEN, error.message, fix=error.remedy)
