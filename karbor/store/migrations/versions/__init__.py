"""One file a revision; each is also named in `karbor.store.upgrade.REVISIONS`."""
