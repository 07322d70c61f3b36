"""python3 -m dev.devcloud up|down|status|stop|start|restart|logs|env|rotate-keys|postgresql"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import pathlib
import sys
from collections.abc import Iterator

from dev.devcloud.cloud import Cloud
from dev.devcloud.down import down
from dev.devcloud.install import ensure_postgresql, venv_path
from dev.devcloud.processes import Processes
from dev.devcloud.services.keystone import Keystone
from dev.devcloud.settings import DEFAULT_SERVICES, DevcloudError, State
from dev.devcloud.status import status
from dev.devcloud.up import up


def _pairs(text: str) -> dict[str, str]:
    pairs = [one.split("=") for one in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError("it has the form SERVICE=VALUE,...")
    return dict(pairs)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", help="default: $DEVCLOUD_STATE, or .devcloud in this clone", type=pathlib.Path
    )
    parser = argparse.ArgumentParser(
        prog="devcloud", description="A real OpenStack on the loopback interface."
    )
    actions = parser.add_subparsers(dest="action", required=True)

    start = actions.add_parser(
        "up", parents=[common], help="start, or change, the cloud; what is not named stays as it is"
    )
    start.add_argument(
        "--services",
        help=f"comma-separated, are added to it (default: {','.join(DEFAULT_SERVICES)})",
    )
    start.add_argument("--token-expiration", type=int, metavar="SECONDS")
    start.add_argument("--allow-expired-window", type=int, metavar="SECONDS")
    start.add_argument(
        "--token-cache-time", type=int, metavar="SECONDS", help="of every service; -1: no cache"
    )
    start.add_argument(
        "--posix-backup",
        action=argparse.BooleanOptionalAction,
        help="a second cinder-backup, in the availability zone `posix`",
    )
    start.add_argument(
        "--backup-swift-service-auth",
        action=argparse.BooleanOptionalAction,
        help="whether cinder-backup sends its service token to Swift (it does)",
    )
    start.add_argument(
        "--service-token-roles",
        type=_pairs,
        metavar="SERVICE=ROLE,...",
        help="the role that a service asks of service tokens; `service` puts it back",
    )
    start.add_argument(
        "--token-cache-times",
        type=_pairs,
        metavar="SERVICE=SECONDS,...",
        help="other times than --token-cache-time for some services; the same puts it back",
    )
    start.add_argument("--debug", action=argparse.BooleanOptionalAction)
    start.add_argument("--host", help="the address; default: the first free 127.0.0.N0")

    stop = actions.add_parser("down", parents=[common], help="stop everything")
    stop.add_argument("--wipe", action="store_true", help="and remove the state")
    actions.add_parser("status", parents=[common], help="what runs; exit code 1 if not all does")
    actions.add_parser("env", parents=[common], help="shell commands that point clients here")
    actions.add_parser("rotate-keys", parents=[common], help="a new fernet key for Keystone")
    actions.add_parser(
        "postgresql", parents=[common], help="install the PostgreSQL that the tests start"
    )
    for name, text in (
        ("stop", "stop one process"),
        ("start", "start one process that was stopped"),
        ("restart", "stop and start one process"),
        ("logs", "the end of one process's log"),
    ):
        one = actions.add_parser(name, parents=[common], help=text)
        one.add_argument("process")
        if name == "logs":
            one.add_argument("--lines", type=int, default=100)
    return parser


@contextlib.contextmanager
def _alone(state: State) -> Iterator[None]:
    """Two commands at once on one state would start everything twice."""
    state.root.mkdir(parents=True, exist_ok=True)
    with (state.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(arguments: argparse.Namespace) -> int:
    state = State(arguments.state) if arguments.state else State.default()
    options = {k: v for k, v in vars(arguments).items() if k not in ("action", "state")}
    processes = Processes(state)
    match arguments.action:
        case "up":
            if options["services"]:
                options["services"] = [s for s in options["services"].split(",") if s]
            with _alone(state):
                up(state, **options)
        case "down":
            if state.root.exists():
                with _alone(state):
                    down(state, arguments.wipe)
        case "status":
            return 0 if status(state) else 1
        case "env":
            print(f"export OS_CLIENT_CONFIG_FILE={state.clouds_yaml} DEVCLOUD_STATE={state.root}")
            print(f"export PATH={venv_path()}/bin:$PATH")
        case "postgresql":
            ensure_postgresql()
        case "rotate-keys":
            Keystone(Cloud(state, state.settings(), venv_path())).rotate_keys()
        case "logs":
            print(processes.tail(arguments.process, arguments.lines))
        case "stop" | "start" | "restart":
            with _alone(state):
                if arguments.action != "start":
                    processes.stop(arguments.process)
                if arguments.action != "stop":
                    processes.start(arguments.process)
    return 0


def main() -> int:
    try:
        return _run(_parser().parse_args())
    except DevcloudError as error:
        print(f"devcloud: FAILED: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
