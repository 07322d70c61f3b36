"""Read by each Python process of the cloud before anything else: logins that fit short tokens.

keystoneauth renews a token that has less than two minutes to live. Where tokens live for seconds,
every single request of a service would begin with a login: four of five requests that Keystone
gets would be logins, and the cloud would be busy with nothing else. So here a token is renewed
after half of its life, and two minutes before its end where that is later.

And where tests rotate Keystone's keys away or restart it, a service's own token can be refused to
two of its threads at once. keystoneauth lets the second one down: it finds the token dropped
already, is told that there is nothing to invalidate, and gives up with the 401 instead of logging
in again (Nova then calls its configuration invalid). Here every thread gets its second try.

Nothing is imported before its time: what is imported early would not be patched by eventlet.
"""

import importlib.abc
import importlib.util
import sys

MODULE = "keystoneauth1.identity.base"


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            patch(module.BaseIdentityPlugin)

        spec.loader.exec_module = exec_module
        return spec


def patch(plugin):
    def needs_login(self):
        token = self.auth_ref
        if token is None or not self.reauthenticate:
            return token is None
        life = (token.expires - token.issued).total_seconds()
        return token.will_expire_soon(min(self.MIN_TOKEN_LIFE_SECONDS, life / 2))

    def invalidate(self):
        had = self.auth_ref is not None
        self.auth_ref = None
        return had or self.reauthenticate

    plugin._needs_reauthenticate = needs_login
    plugin.invalidate = invalidate


sys.meta_path.insert(0, Finder())
