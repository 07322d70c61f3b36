"""Streams as Karbor kept them before vaults deduplicated: format 1, which is only read."""
