"""Glance: images and their bytes. No microversions."""

from karbor.clients.service import PolledKind, Service

GLANCE = Service(
    name="glance",
    types=("image",),
    version_path="/v2",
    sdk="image",
    page=1000,      # 25 otherwise
    looks={
        # Of the project only: a list without this filter has every public image of the cloud.
        "image": PolledKind("/images", "images", "/images/", "",
                            query={"owner": "%(project_id)s"}),
    },
)
