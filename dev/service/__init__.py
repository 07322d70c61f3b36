"""Karbor as a service of the development cloud: registered in Keystone, started, stopped."""
