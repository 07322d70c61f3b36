"""Providers from files: how they are read, read again, refused, chosen and kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from karbor import config
from karbor.banks.directory import DirectoryBank
from karbor.cli.program import karbor
from karbor.domain.errors import BadInput, NotFound, UnknownName
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import PROJECT, SHARE, VOLUME
from karbor.plugin import registry
from karbor.providers import builtin
from karbor.providers.catalog import ProviderCatalog
from karbor.providers.provider_file import read

SAMPLES = Path(__file__).parents[3] / "etc" / "karbor" / "providers.d"
IDS = {"a": "11111111-1111-4111-8111-111111111111", "b": "22222222-2222-4222-8222-222222222222",
       "c": "33333333-3333-4333-8333-333333333333"}


class Place:
    """A karbor.conf with a providers.d beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "karbor.conf"
        self.directory = root / "providers.d"
        self.configure()

    def configure(self, *lines: str) -> None:
        self.conf.write_text("\n".join(["[DEFAULT]", f"state_path = {self.root / 'state'}", *lines,
                                        ""]))

    def write(self, name: str, *more: str, enabled: bool = True, bank: str = "", id: str = ""
              ) -> Path:
        self.directory.mkdir(exist_ok=True)
        path = self.directory / f"{name}.conf"
        path.write_text("\n".join([
            "[provider]", f"name = {name}", f"id = {id or IDS[name]}",
            "bank = karbor-fs-bank-plugin", "plugin = karbor-volume-protection-plugin",
            f"enabled = {enabled}", *more, "[file_system_bank_plugin]",
            f"file_system_bank_path = {bank or self.root / name}", ""]))
        return path

    def providers(self) -> ProviderCatalog:
        def nobody() -> Any:
            raise AssertionError("a bank in a directory needs no login")
        return ProviderCatalog(config.load([self.conf]), nobody)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(karbor, ["--config-file", str(self.conf), *words])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("KARBOR_PROVIDER", raising=False)
    return Place(tmp_path)


def operation(**request: Any) -> Operation:
    return Operation("o1", Verb.PROTECT, "p", {}, {}, request)


# -------------------------------------------------------------------- files
def test_without_files_there_is_the_built_in_one(place: Place) -> None:
    providers = place.providers()
    assert [one.id for one in providers.list()] == [builtin.ID]
    assert providers.choose(None).id == builtin.ID
    place.directory.mkdir()
    assert providers.default().name == "karbor"


def test_the_samples_are_good_keep_their_ids_and_are_disabled(place: Place) -> None:
    shutil.copytree(SAMPLES, place.directory)
    providers = place.providers()
    assert {one.name: one.id for one in providers.list()} == {
        "OS Infra Provider": "cf56bd3e-97a7-4078-b6d5-f36246333fd9",
        "OS Infra Provider with local file system bank": "6659007d-6f66-4a0f-9cb4-17d6aded0bb9",
        "OS Infra Provider with volume snapshot plugin": "90d5bfea-a259-41e6-80c6-dcfcfcd9d827",
        "No-Op Provider": "b766f37c-d011-4026-8228-28730d734a3f"}
    assert not any(one.enabled for one in providers.list())
    assert providers.broken == ()
    with pytest.raises(BadInput, match="is enabled"):
        providers.default()
    for one in providers.list():
        registry.bank(one.bank)
        registry.protections(one.plugins)


def test_a_file_says_everything(place: Place) -> None:
    path = place.write("a", "description = for tests", "plugin = karbor-network-protection-plugin")
    found = read(path)
    assert (found.name, found.id, found.description) == ("a", IDS["a"], "for tests")
    assert found.plugins == ["karbor-volume-protection-plugin", "karbor-network-protection-plugin"]
    provider = place.providers().choose("a")
    assert set(provider.protections) >= {VOLUME, PROJECT}
    provider.bank.put("k", [b"x"])
    assert (place.root / "a" / "karbor-bank.json").exists()


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda text: text.replace("[provider]", "[providers]"), r"no section \[provider\]"),
    (lambda text: text.replace("name = a\n", ""), "names no name"),
    (lambda text: text.replace(IDS["a"], "number one"), "id is a UUID"),
    (lambda text: text.replace("bank = karbor-fs", "bank = x\nbank = karbor-fs"), "more than one"),
    (lambda text: text.replace("plugin = karbor-volume-protection-plugin\n", ""), "no plugin"),
    (lambda text: text.replace("enabled = True", "enabled = perhaps"), "true or false"),
    (lambda text: text.replace("enabled", "enabeld"), "no option enabeld"),
    (lambda text: text + "[limits]\nworkers = 1\n", "belongs to nothing"),
    (lambda text: "nonsense\n" + text, "cannot be read"),
])
def test_a_broken_file_is_told_and_takes_no_other_away(
        place: Place, spoil: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    path = place.write("a")
    path.write_text(spoil(path.read_text()))
    place.write("b")
    providers = place.providers()
    assert [one.name for one in providers.list()] == ["b"]
    assert providers.default().name == "b"
    for told in (str(providers.broken[0]), caplog.text):
        assert str(path) in told
    with pytest.raises(BadInput, match=words):
        raise providers.broken[0]
    assert caplog.text.count(str(path)) == 1      # once, and not at each use


def test_a_broken_file_alone_does_not_bring_the_built_in_one_back(place: Place) -> None:
    place.write("a").write_text("[provider]\n")
    with pytest.raises(BadInput, match="is enabled"):
        place.providers().choose(None)


@pytest.mark.parametrize("same", ["id", "name"])
def test_two_that_bear_the_same_are_both_refused(place: Place, same: str) -> None:
    first = place.write("a")
    text = first.read_text()
    second = place.directory / "z.conf"
    second.write_text(text.replace("name = a", "name = z") if same == "id"
                      else text.replace(IDS["a"], IDS["c"]))
    place.write("b")
    providers = place.providers()
    assert [one.name for one in providers.list()] == ["b"]
    assert len(providers.broken) == 1
    told = str(providers.broken[0])
    assert str(first) in told
    assert str(second) in told
    assert f"the same {same}" in told


def test_a_directory_that_is_named_must_be_there(place: Place) -> None:
    place.configure("provider_config_dir = elsewhere")
    with pytest.raises(BadInput, match="elsewhere"):
        place.providers().list()
    place.write("a")
    place.directory.rename(place.root / "elsewhere")
    assert [one.name for one in place.providers().list()] == ["a"]


# -------------------------------------------------------------------- change
def test_files_are_read_again_when_they_change(place: Place) -> None:
    place.write("a")
    providers = place.providers()
    a = providers.choose(None)
    assert providers.choose(None) is a
    b = place.write("b")
    assert [one.name for one in providers.list()] == ["a", "b"]
    assert providers.choose("a") is a             # its own file has not changed
    place.write("a", "description = another")
    assert providers.choose("a") is not a
    assert providers.find("a").description == "another"
    b.write_text("broken")
    assert [one.name for one in providers.list()] == ["a"]
    b.unlink()
    assert providers.broken == ()


def test_an_operation_keeps_the_provider_it_began_with(place: Place) -> None:
    place.write("a")
    file = place.write("b")
    providers = place.providers()
    began = operation(provider_id=IDS["b"])
    mine = providers.of(began)
    assert mine.id == IDS["b"]
    file.unlink()
    assert providers.of(began) is mine
    later = place.providers()                     # another process, the file gone
    with pytest.raises(NotFound, match=IDS["b"]):
        later.of(began)
    place.write("b", enabled=False)
    assert later.of(began).id == IDS["b"]         # disabled: nothing new, but what began goes on
    with pytest.raises(BadInput, match="disabled"):
        later.choose("b")


def test_an_operation_of_the_built_in_one_goes_on_beside_files(place: Place) -> None:
    place.write("a")
    assert place.providers().of(operation(provider_id=builtin.ID)).id == builtin.ID
    assert place.providers().of(operation()).id == builtin.ID   # of an earlier version


# -------------------------------------------------------------------- choice
def test_of_several_one_must_be_named(place: Place) -> None:
    place.write("a")
    place.write("b")
    place.write("c", enabled=False)
    providers = place.providers()
    with pytest.raises(BadInput, match="several providers: a, b"):
        providers.choose(None)
    assert providers.choose("b").name == providers.choose(IDS["b"]).name == "b"
    with pytest.raises(UnknownName, match="no provider d"):
        providers.choose("d")
    place.configure("default_provider = b")
    assert place.providers().choose(None).name == "b"
    place.configure("default_provider = c")
    with pytest.raises(BadInput, match="disabled"):
        place.providers().choose(None)


# -------------------------------------------------------------------- plugins
def test_names_of_karbor_1_are_understood(caplog: pytest.LogCaptureFixture) -> None:
    old = "karbor.services.protection."
    assert registry.bank(old + "bank_plugins.file_system_bank_plugin.FileSystemBankPlugin"
                         ) is registry.bank("karbor-fs-bank-plugin")
    found = registry.protections([
        old + "protection_plugins.volume.cinder_protection_plugin.CinderBackupProtectionPlugin",
        old + "protection_plugins.share.share_snapshot_plugin.ManilaSnapshotProtectionPlugin",
        "karbor-database-protection-plugin"])
    assert set(found) == {VOLUME, SHARE}
    assert "databases are not protected" in caplog.text
    with pytest.raises(BadInput, match="karbor-colour-plugin"):
        registry.protections(["karbor-colour-plugin"])


# -------------------------------------------------------------------- the command
def test_providers_are_listed_and_shown(place: Place) -> None:
    place.write("a", "description = the first")
    place.write("b", enabled=False)
    listed = place.run("provider", "list")
    assert listed.exit_code == 0
    assert "a " in listed.stdout
    assert IDS["b"] not in listed.stdout
    found = json.loads(place.run("-f", "json", "provider", "list", "--all").stdout)
    assert [(one["name"], one["enabled"], one["default"]) for one in found] == [
        ("a", True, True), ("b", False, False)]
    shown = place.run("provider", "show", "b")
    assert str(place.directory / "b.conf") in shown.stdout
    assert json.loads(place.run("provider", "show", "-f", "json").stdout)["id"] == IDS["a"]
    assert place.run("provider", "show", "z").exit_code == 2


def test_a_broken_file_shows_in_the_list_and_in_its_exit_code(place: Place) -> None:
    place.write("a")
    place.write("b").write_text("[provider]\nname = b\n")
    listed = place.run("provider", "list")
    assert listed.exit_code == 2
    assert listed.stderr.count("b.conf") == 1
    assert IDS["a"] in listed.stdout


def test_check_proves_the_bank_and_leaves_nothing(place: Place) -> None:
    place.write("a")
    checked = place.run("provider", "check")
    assert checked.exit_code == 0, checked.output
    for words in ("OS::Cinder::Volume", "put if absent", "delete"):
        assert words in checked.stdout
    assert "FAILED" not in checked.stdout
    assert list((place.root / "a" / "objects").iterdir()) == []
    told = json.loads(place.run("provider", "check", "a", "-f", "json").stdout)
    assert told["good"] is True


@pytest.mark.parametrize(("change", "code", "words"), [
    ("karbor-volume-protection-plugin", 2, "karbor-colour-plugin"),
    ("file_system_bank_path", 2, "no option"),
])
def test_check_tells_what_is_wrong(place: Place, change: str, code: int, words: str) -> None:
    path = place.write("a")
    path.write_text(path.read_text().replace(change, "karbor-colour-plugin"))
    checked = place.run("provider", "check", "a")
    assert checked.exit_code == code
    assert "FAILED" in checked.stdout
    assert words in checked.stdout


@pytest.mark.parametrize(("careless", "words"), [
    (lambda put: lambda bank, key, body, absent=False: put(bank, key, body),
     "overwrite 1000 bytes"),
    (lambda put: lambda bank, key, body, absent=False: (
        put(bank, key, body, absent=absent and "together" not in key)), "told 4 that they have")])
def test_check_tells_of_a_bank_in_which_writers_overwrite_each_other(
        place: Place, monkeypatch: pytest.MonkeyPatch, careless: Any, words: str) -> None:
    place.write("a")
    monkeypatch.setattr(DirectoryBank, "put", careless(DirectoryBank.put))
    checked = place.run("provider", "check")
    assert checked.exit_code == 5, checked.output
    assert "FAILED  bank: put if absent" in checked.stdout
    assert words in checked.stdout
    assert "could overwrite each other" in checked.stdout


def test_check_tells_of_a_bank_that_is_of_no_use(place: Place) -> None:
    place.write("a", bank="/proc/karbor")
    checked = place.run("provider", "check")
    assert checked.exit_code == 5, checked.output
    assert "FAILED  bank" in checked.stdout
