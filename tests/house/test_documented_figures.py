"""The numbers and names that the documentation states are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from karbor import config
from karbor.cli import exit_codes
from karbor.doctor.expired_window import max_active_keys
from karbor.domain.credential_chain import margin
from karbor.engine import patience
from karbor.operations import events
from karbor.schedule import patterns, rule_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOUR = 3600.0
DEFAULTS = {(group, option.dest): option.default
            for group, options in config.own_options().items() for option in options}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, their heads and lines left out."""
    text = (DOCS / page).read_text()
    _, found, below = text.partition(f"\n{heading}\n")
    assert found, f"{page} has no heading {heading}"
    below = re.split(r"^#{1,6} ", below, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines
            if not set(line) <= set("|- ")]


def number(text: str) -> float:
    """The number at the beginning of a cell, its unit left out."""
    return float(re.match(r"\**([\d.]+)", text)[1])     # type: ignore[index]


def test_waits_have_the_defaults_that_the_page_states() -> None:
    stated = re.findall(r"`(\w+)`, (\d+)", (DOCS / "operators/waits.md").read_text())
    assert {kind for kind, _ in stated} == set(config.WAITS)
    assert {(kind, float(minutes)) for kind, minutes in stated} == {
        (kind, DEFAULTS["waits", kind]) for kind in config.WAITS}


def test_restarted_services_are_told_with_the_defaults() -> None:
    text = " ".join((DOCS / "operators/waits.md").read_text().split())
    assert f"`[waits] made_anew` times ({DEFAULTS['waits', 'made_anew']})" in text
    assert f"`[waits] made_anew_pause` seconds ({DEFAULTS['waits', 'made_anew_pause']:.0f})" in text


def test_lines_about_waiting_come_as_often_as_the_pages_say() -> None:
    for page in ("operators/waits.md", "developers/protection-plugins.md"):
        text = " ".join((DOCS / page).read_text().lower().split())
        assert f"after every {patience.UNTOLD_LOOKS} looks without news" in text
        assert f"after every {patience.UNTOLD_TRIES} tries of a service" in text


def test_options_of_workers_have_the_defaults_that_the_page_states() -> None:
    stated = {}
    for option, default, _ in rows("operators/database.md", "## Workers"):
        for group, name in re.findall(r"`\[(\w+)\] (\w+)`", option):
            if re.match(r"\d", default):
                stated[group, name] = number(default)
    assert len(stated) >= 10
    assert stated == {key: DEFAULTS[key] for key in stated}
    assert "`[limits] provider_glance_transfers`, `project_…` | 4, 2 |" in (
        DOCS / "operators/database.md").read_text()
    assert DEFAULTS["limits", "provider_glance_transfers"] == 4
    assert DEFAULTS["limits", "project_glance_transfers"] == 2
    assert DEFAULTS["limits", "project_server_images"] == 2


def test_options_of_credentials_have_the_defaults_that_the_page_states() -> None:
    table = rows("operators/token-lifetimes.md", "## Karbor's own options")[1:]
    stated = {name.strip("`"): default.strip("`") for name, default, _ in table}
    assert {name: stated[name] for name in stated} == {
        name: ", ".join(value) if isinstance(value := DEFAULTS["credentials", name], list)
        else f"{value:.0f}" if isinstance(value, float) else str(value) for name in stated}


def test_the_numbers_of_fernet_keys_are_those_of_the_doctor() -> None:
    head, *table = rows("operators/token-lifetimes.md", "### Fernet keys: the real window")
    windows = [number(re.sub(r"^window ", "", cell)) for cell in head[1:]]
    periods = {"hourly": 1, "every 6 h": 6, "every 12 h": 12, "daily": 24, "weekly": 168,
               "every 30 days": 720}
    for period, *cells in table[:len(periods)]:
        assert [number(cell) for cell in cells] == [
            max_active_keys(HOUR, window * HOUR, periods[period] * HOUR) for window in windows]
    names, stated = table[len(periods):]
    assert [number(cell) for cell in stated[1:]] == [
        min(48, periods[name] - 1) for name in names[1:]]


def test_the_margin_is_the_smaller_of_a_quarter_of_an_hour_and_a_tenth_of_the_window() -> None:
    assert "the smaller of 15 minutes and a tenth of the window" in (
        DOCS / "operators/token-lifetimes.md").read_text()
    assert [margin(HOUR), margin(48 * HOUR)] == [HOUR / 10, 15 * 60]


def test_every_exit_code_is_explained() -> None:
    stated = {int(code) for code, *_ in rows("users/command-line.md", "## When something is wrong")
              if code.isdigit()}
    assert stated == {value for name, value in vars(exit_codes).items()
                      if name.isupper() and isinstance(value, int)}


def test_every_metric_is_explained_and_every_one_explained_exists() -> None:
    source = "".join(path.read_text() for path in (ROOT / "karbor/telemetry").glob("metrics*.py"))
    families = {name + ("_total" if kind == "Counter" else "") for kind, name in re.findall(
        r'(Gauge|Counter|Summary|Info)MetricFamily\(\s*"(karbor_\w+)"', source)}
    page = (DOCS / "operators/monitoring.md").read_text()
    assert len(families) > 20
    assert set(re.findall(r"\bkarbor_\w+", page)) == families


def test_every_event_is_explained_and_every_one_explained_exists() -> None:
    page = (DOCS / "operators/monitoring.md").read_text()
    sent = {value for name, value in vars(events).items()
            if name.startswith(("OPERATION_", "CHECKPOINT_")) and isinstance(value, str)}
    assert set(re.findall(r"`(karbor\.\w+\.\w+)`", page)) == sent


def test_limits_of_patterns_are_those_of_the_code() -> None:
    text = " ".join((DOCS / "users/schedules.md").read_text().split())
    assert patterns.RULES == 10
    assert patterns.RULES_WITH_BYSETPOS == 2
    assert "at most ten `RRULE`s, two of them with `BYSETPOS`" in text
    assert f"at most {rule_text.TIMES_OF_A_DAY:,} times of a day" in text
    assert DEFAULTS["schedule", "min_interval"] == HOUR
    assert "shortest interval (an hour, unless told otherwise)" in text
    assert DEFAULTS["schedule", "rights_days"] == 365
    assert "It lasts a year, unless the operator says otherwise" in text
    assert DEFAULTS["schedule", "rights_warning_days"] == 30


@pytest.mark.parametrize(("page", "sentence", "key"), [
    ("operators/monitoring.md", "`[metrics] fresh` seconds ({:.0f})", ("metrics", "fresh")),
    ("operators/monitoring.md", "up to `waiting` events ({})", ("notifications", "waiting")),
    ("operators/monitoring.md", "listen_port = {}", ("metrics", "listen_port")),
    ("api/README.md", "never more than `osapi_max_limit` ({})", ("DEFAULT", "osapi_max_limit")),
    ("users/configuration.md", "read_timeout = {:.0f}", ("http", "read_timeout")),
    ("users/configuration.md", "connect_timeout = {:.0f}", ("http", "connect_timeout")),
    ("users/configuration.md", "longest_operation = {}", ("credentials", "longest_operation")),
    ("users/configuration.md", "slowest_rate = {:.0f}", ("credentials", "slowest_rate")),
])
def test_a_default_is_stated_as_it_is(page: str, sentence: str, key: tuple[str, str]) -> None:
    assert sentence.format(DEFAULTS[key]) in " ".join((DOCS / page).read_text().split())
