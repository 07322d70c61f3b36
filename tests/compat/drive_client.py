"""Runs where python-karborclient is installed, and does what it is told, a line of JSON each.

    {"do": "client", "as": NAME, "call": "plans.list", "args": [], "kwargs": {}}
    {"do": "dashboard", "as": NAME, "call": "plan_list_paged", "args": [], "kwargs": {}}
    {"do": "graph", "as": NAME, "text": "[{}, []]"}
    {"do": "karbor", "as": NAME, "argv": ["plan-list"]}
    {"do": "openstack", "as": NAME, "argv": ["data", "protection", "plan", "list"]}

answered by {"value": …}, {"printed": …, "told": …, "code": …} or {"error": {…}}. The first line
has the accounts: NAME → the OS_… variables.
"""

import contextlib
import importlib
import io
import json
import logging
import os
import sys
import types
import warnings

from keystoneauth1 import loading, session

warnings.simplefilter("ignore")
accounts = {}
sessions = {}


def keystone_session(name):
    if name not in sessions:
        account = accounts[name]
        auth = loading.get_plugin_loader("password").load_from_options(**{
            key[3:].lower(): value for key, value in account.items()
            if key.startswith(("OS_AUTH_URL", "OS_USER", "OS_PASSWORD", "OS_PROJECT"))})
        sessions[name] = session.Session(auth=auth)
    return sessions[name]


def by_session(name):
    """As programs use it: with a session of Keystone's."""
    from karborclient import client

    return client.Client("1", session=keystone_session(name), service_type="data-protect",
                         region_name=accounts[name]["OS_REGION_NAME"])


def dashboard(name):
    """karbor-dashboard's own calls. It is given what it takes from Horizon: the token of the
    request, the address of the service, the length of a page."""
    def module(path, **names):
        made = types.ModuleType(path)
        vars(made).update(names)
        sys.modules[path] = made

    keystone = keystone_session(name)
    url = keystone.get_endpoint(service_type="data-protect")
    module("django")
    module("django.utils")
    module("django.utils.translation", gettext_lazy=str, ugettext_lazy=str,
           pgettext_lazy=lambda context, text: text)
    module("django.conf", settings=types.SimpleNamespace(
        OPENSTACK_KEYSTONE_URL=accounts[name]["OS_AUTH_URL"]))
    module("horizon", exceptions=types.SimpleNamespace(ServiceCatalogException=LookupError))
    module("horizon.utils", functions=types.SimpleNamespace(
        get_page_size=lambda request: request.page_size))
    module("horizon.utils.memoized", memoized=lambda function: function)
    module("openstack_dashboard")
    module("openstack_dashboard.api", base=types.SimpleNamespace(
        url_for=lambda request, service_type: url))
    calls = importlib.import_module("karbor_dashboard.api.karbor")
    token = types.SimpleNamespace(id=keystone.get_token())
    user = types.SimpleNamespace(token=token, username=accounts[name]["OS_USERNAME"],
                                 tenant_id=keystone.get_project_id())
    return calls, types.SimpleNamespace(user=user, page_size=2)


def plain(value):
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def tree(nodes):
    return [[node.value.type, node.value.id, node.value.name, tree(node.child_nodes)]
            for node in nodes]


def call(order):
    if order["do"] == "client":
        target = by_session(order["as"])
        for part in order["call"].split("."):
            target = getattr(target, part)
        return {"value": plain(target(*order["args"], **order["kwargs"]))}
    calls, request = dashboard(order["as"])
    if order["do"] == "graph":
        from karbor_dashboard.checkpoints import utils

        return {"value": tree(utils.deserialize_resource_graph(order["text"]))}
    properties = order["kwargs"].get("properties", {})
    if "pattern" in properties:     # icalendar's to_ical makes bytes of it
        properties["pattern"] = properties["pattern"].encode()
    return {"value": plain(getattr(calls, order["call"])(request, *order["args"],
                                                         **order["kwargs"]))}


def shell(order):
    """What a person sees who types the command. An exception is handed on, as it is."""
    out, err = io.StringIO(), io.StringIO()
    for key in [one for one in os.environ if one.startswith("OS_")]:
        del os.environ[key]
    os.environ.update(accounts[order["as"]])
    handlers = logging.getLogger().handlers[:]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if order["do"] == "karbor":
                from karborclient.shell import KarborShell

                code = KarborShell().main(order["argv"])
            else:
                from openstackclient import shell as osc
                from osc_lib.clientmanager import ClientManager

                # It keeps its clients for the process, which has one user otherwise.
                for kept in vars(ClientManager).values():
                    if hasattr(kept, "_handle"):
                        kept._handle = None
                code = osc.OpenStackShell().run(order["argv"])
    except SystemExit as left:
        code = left.code
    finally:
        logging.getLogger().handlers[:] = handlers
    return {"printed": out.getvalue(), "told": err.getvalue(), "code": code or 0}


def main():
    accounts.update(json.loads(sys.stdin.readline()))
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = (shell if order["do"] in ("karbor", "openstack") else call)(order)
        except Exception as error:  # noqa: BLE001 - the other side judges it
            answer = {"error": {
                "kind": type(error).__name__, "module": type(error).__module__,
                "code": getattr(error, "http_status", None) or getattr(error, "code", None),
                "message": str(error)}}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
