"""What every option is worth in effect, and who said so. Secrets are masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor import config
from karbor.config_check.files import Written, auth_types, written
from karbor.known_options import Known, known
from karbor.store.connect import described

MASK = "****"


@dataclass(frozen=True)
class Shown:
    """`source` is a file, an environment variable, or `default`."""

    group: str
    name: str
    value: Any
    source: str


def show(files: Sequence[Path] | None = None) -> Iterator[Shown]:
    """Return Karbor's own options, and what the files say beside them. Raises BadInput as
    `config.load`.
    """
    chosen = config.usual_files() if files is None else list(files)
    conf = config.load(chosen)
    read = [written(path) for path in chosen]
    options = known(auth_types(read))
    own = {(group, one.dest): one for group, some in config.own_options().items() for one in some}
    effective: dict[tuple[str, str], Callable[[config.ConfigOpts], Any]] = {
        ("DEFAULT", "state_path"): config.state_path, ("fs_bank", "path"): config.bank_path,
        ("credentials", "key_file"): config.key_file,
        ("database", "connection"): config.database_url,
        ("DEFAULT", "provider_config_dir"): lambda conf: config.provider_directory(conf)[0]}
    for (group, name), option in own.items():
        value = effective[group, name](conf) if (group, name) in effective else (
            conf[name] if group == "DEFAULT" else conf[group][name])
        yield Shown(group, name, _masked(group, name, option, value),
                    _source(conf, group, name, read))
    for file in read:
        for group, said in file.sections.items():
            for name, values in said.items():
                if (group, name) not in own:
                    yield _beside(file, group, name, values[-1], options)


def _beside(file: Written, group: str, name: str, value: str, options: Known) -> Shown:
    option = options.option(group, name)
    # What nobody knows may be a password with a slip in its name.
    hidden = option is None or option.secret
    return Shown(group, name, MASK if hidden else value, str(file.path))


def _masked(group: str, name: str, option: cfg.Opt, value: Any) -> Any:
    if (group, name) == ("database", "connection"):
        return described(value)[0]
    if option.secret and value is not None:
        return MASK
    return str(value) if isinstance(value, Path) else value


def _source(conf: config.ConfigOpts, group: str, name: str, files: Sequence[Written]) -> str:
    saying = [file for file in files if name in file.sections.get(group, {})]
    if saying:
        return str(saying[-1].path)
    found = conf.get_location(name, group=None if group == "DEFAULT" else group)
    if found is not None and found.location is cfg.Locations.environment:
        return f"environment: {found.detail}"
    return "default"
