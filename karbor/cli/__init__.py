"""The door for people: the command `karbor`."""

from __future__ import annotations


def main() -> None:
    """Run the program; its entry point."""
    from karbor.cli.program import karbor  # noqa: PLC0415 - importing the package costs nothing

    karbor(prog_name="karbor")
