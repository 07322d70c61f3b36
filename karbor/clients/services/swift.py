"""Swift: containers and objects of the project's account. Lists have no enclosing object: pass an
empty `key`, and `format=json` is asked for."""

from karbor.clients.service import Service

SWIFT = Service(
    name="swift",
    types=("object-store",),
    # Swift's catalog entry names the account; one without it is an operator's override.
    version_path="/v1/AUTH_%(project_id)s",
    sdk="object_store",
)
