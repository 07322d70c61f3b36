"""Network: clocks, the catalog's addresses, and whether what goes there can be read on the way."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from karbor.doctor.context import DiagnosticContext
from karbor.doctor.finding import Verdict
from karbor.doctor.formatting import listed, span
from karbor.domain.credential_chain import margin
from karbor.plugin.token_probe import Address, Answer, Speaker

TOLERATED = 5.0
"""Seconds that clocks may differ."""

RENEWED_BEFORE = 120.0
"""Seconds before its end at which keystoneauth renews a token: what services' clocks may differ."""


def look_at_network(context: DiagnosticContext) -> None:
    addresses = context.probe.addresses()
    urls = sorted({one.url for one in addresses})
    used = {one.url for one in addresses if one.used}

    def ask(url: str) -> Answer:
        # Those that this login does not use may well be out of reach, and are not waited for twice.
        return (context if url in used else context.probe).ask(url, Speaker.NOBODY)
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(urls, pool.map(ask, urls), strict=True))
    _clocks(context, addresses, answers)
    _reachable(context, addresses, answers)
    _readable(context, urls)


def _clocks(
    context: DiagnosticContext, addresses: Iterable[Address], answers: dict[str, Answer]
) -> None:
    ours = context.user.ahead
    limit = min(RENEWED_BEFORE, margin(context.configured.window), context.user.life / 2)
    side = "behind" if ours > 0 else "ahead of"
    if abs(ours) > TOLERATED:
        context.add(
            "clock", "this machine", Verdict.BROKEN if abs(ours) >= limit else Verdict.WARNING,
            f"{abs(ours):.0f} s {side} Keystone's",
            f"operations change their credential {abs(ours):.0f} s too "
            f"{'late' if ours > 0 else 'early'}; what is kept unused at the end of a window is "
            f"{span(limit)}", "synchronize the clock of this machine (chrony, ntpd)")
    else:
        context.add("clock", "this machine", Verdict.OK, f"within {TOLERATED:.0f} s of Keystone's")
    told = False
    for one in {address.url: address for address in addresses}.values():
        ahead = answers[one.url].ahead
        if ahead is None:
            continue
        off = ahead - ours
        told = True
        if abs(off) > TOLERATED:
            context.add(
                "clock", one.type,
                Verdict.BROKEN if abs(off) >= RENEWED_BEFORE else Verdict.WARNING,
                f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} Keystone's",
                "it takes tokens, service tokens too, for expired at other times than Keystone",
                f"synchronize the clock of the hosts of {one.type}")
    if not told:
        context.add("clock", "services", Verdict.UNPROVEN, "no service tells its time",
                    fix="see that all hosts use one NTP source")


def _reachable(
    context: DiagnosticContext, addresses: list[Address], answers: dict[str, Answer]
) -> None:
    elsewhere = []
    good = 0
    for one in addresses:
        if answers[one.url].status:
            good += 1
        elif not one.used:
            elsewhere.append(f"{one.type} {one.interface} in {one.region}")
        else:
            context.silent |= {one.type}
            context.add(
                "endpoint", one.type, Verdict.BROKEN,
                f"{one.url} ({one.interface}, {one.region}): {answers[one.url].text}",
                f"{context.long} fails when it needs {one.type}",
                "see whether the service runs and its address in the catalog is right; "
                "endpoint_override in the section of the service names another one")
    context.add("endpoint", "catalog", Verdict.OK,
                f"{good} of {len(addresses)} addresses answer")
    if elsewhere:
        context.add("endpoint", "others", Verdict.UNPROVEN,
                    f"no answer from here: {listed(elsewhere)}",
                    "nothing for this login, whose requests do not go there")


def _readable(context: DiagnosticContext, urls: list[str]) -> None:
    plain = [url for url in (context.probe.auth_url, *urls)
             if urlsplit(url).scheme == "http" and not _loopback(urlsplit(url).hostname or "")]
    if plain:
        hosts = sorted({urlsplit(url).netloc for url in plain})
        context.add("TLS", "", Verdict.WARNING, f"not encrypted: {listed(hosts)}",
                    "whoever reads the network can use the tokens, for as long as the window "
                    "lasts", "https addresses in the catalog and in auth_url")
    elif not context.configured.verified:
        context.add("TLS", "", Verdict.WARNING, "certificates are not verified",
                    "whoever answers in a service's place gets the tokens",
                    "verify: true in clouds.yaml, insecure = false in [service_user]")
    else:
        context.add("TLS", "", Verdict.OK, "nothing leaves this machine unencrypted")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
