"""The resources of the REST API v1, one a file. `karbor.api.resources` lists them."""
