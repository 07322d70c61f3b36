"""The two commands of the README on a machine that has nothing but Debian 12: `make bare`."""
