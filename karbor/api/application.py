"""The WSGI application: what stands in front of the resources, and in which order.

    request id → faults → X-Forwarded-… → everything below /v1: Keystone → audit → Falcon → resource
                                        → what anybody may ask:                    Falcon → front
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import falcon
from oslo_config.cfg import ConfigOpts
from oslo_middleware.http_proxy_to_wsgi import HTTPProxyToWSGI
from oslo_middleware.request_id import RequestId

from karbor.api import endpoints, openapi, unauthenticated
from karbor.api.audit import audited
from karbor.api.authentication import Auth, Wsgi, keystone
from karbor.api.dependencies import Dependencies
from karbor.api.endpoints import Manners
from karbor.api.enforcement import Enforcement
from karbor.api.errors import handle, rendered
from karbor.api.resources import RESOURCES


def make_app(conf: ConfigOpts, wiring: Dependencies, auth: Auth | None = None) -> Wsgi:
    """For any WSGI server. `auth` stands in for Keystone in tests; there is no other way to do
    without. Raises BadInput when the configuration names no account to check tokens with, or
    [audit] cannot be as it says."""
    manners = Manners.of(conf, Enforcement(conf))
    app: falcon.App[Any, Any] = falcon.App(middleware=[_Suffix()])
    app.req_options.strip_url_path_trailing_slash = True
    app.resp_options.default_media_type = falcon.MEDIA_TEXT     # of empty bodies
    app.add_error_handler(Exception, handle)
    app.add_error_handler(falcon.HTTPError, handle)
    app.add_route(unauthenticated.ROOT, unauthenticated.Versions(manners))
    app.add_route(unauthenticated.V1, unauthenticated.Version(manners))
    app.add_route(unauthenticated.DOCUMENT, unauthenticated.Document(openapi.document(RESOURCES)))
    app.add_route(
        unauthenticated.HEALTH,
        unauthenticated.Health(wiring.ping, conf.healthcheck.disable_by_file_path),
    )
    endpoints.add(app, [resource(wiring) for resource in RESOURCES], manners)
    guarded = _Guarded(app, (auth or keystone(conf))(audited(conf, app)))
    proxied = HTTPProxyToWSGI(guarded, conf)    # it makes its option known
    behind = conf.oslo_middleware.enable_proxy_headers_parsing
    outermost: Wsgi = _RequestId(_Faults(proxied if behind else guarded), conf)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]
                    ) -> Iterable[bytes]:
        return outermost(environ, start_response)

    return application      # a plain function: servers look at what they are given


class _RequestId(RequestId):
    """Under both names that clients of Karbor 1.x look for."""

    compat_headers = ["x-compute-request-id"]   # noqa: RUF012 - the library's own form


class _Guarded:
    """Everything below /v1 goes through the authentication, but for what is public by name."""

    def __init__(self, public: Wsgi, guarded: Wsgi) -> None:
        self._public = public
        self._guarded = guarded

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]
                 ) -> Iterable[bytes]:
        path = "/" + environ.get("PATH_INFO", "").strip("/")
        open_to_all = path in unauthenticated.PUBLIC or path.split("/")[1] != "v1"
        return (self._public if open_to_all else self._guarded)(environ, start_response)


class _Faults:
    """What goes wrong in front of Falcon is told in the same shape, and without its inside."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]
                 ) -> Iterable[bytes]:
        try:
            return self._application(environ, start_response)
        except Exception as error:  # noqa: BLE001 - this is where they end
            status, body = rendered(error, str(environ.get("openstack.request_id", "")))
            start_response(f"{status} {HTTPStatus(status).phrase}",
                           [("Content-Type", falcon.MEDIA_JSON),
                            ("Content-Length", str(len(body)))])
            return [body]


class _Suffix:
    """`/plans/ID.json` is `/plans/ID`, as in Karbor 1.x."""

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        if request.path.startswith("/v1/") and request.path != unauthenticated.DOCUMENT:
            request.path = request.path.removesuffix(".json")
