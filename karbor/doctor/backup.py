"""The deep probe: a volume of 1 GiB, backed up with a token that is over.

Cinder's backup service is the one that fails in most clouds: what it sends to Swift is the user's
token, and beside it a service token only where backup_swift_service_auth says so. No answer of an
API shows that; a backup does.
"""

from __future__ import annotations

from typing import Any

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.doctor.service_chains import CHECK, SERVICE_USER
from karbor.plugin.token_probe import Answer, Served, Speaker

NAME = "cinder-backup"
LONGEST = 600.0     # seconds until a backup of 1 GiB counts as stuck
_SETTLED = 60.0     # seconds until what is to be removed must have come to rest
_SCHEDULED = 90.0   # Cinder's services tell their scheduler of themselves once a minute
_LOOK = 1.0


class DeepProbe:
    """A backup by Cinder, prepared while the user's token lives; `try_it` needs an expired one."""

    def __init__(self, context: DiagnosticContext) -> None:
        self._context = context
        self._cinder = next((served for served in context.served if served.name == "cinder"
                             and served.type not in context.silent), None)
        self._volume: str = ""
        self._why = ""

    def prepare(self) -> None:
        context, cinder = self._context, self._cinder
        if cinder is None:
            self._why = "there is no cinder that answers"
            return
        context.cleanup.add(f"volume of 1 GiB {context.mark}-deep", self._remove_volume)
        made = self._ask(cinder, "/volumes", Speaker.USER, "POST", {
            "volume": {"name": f"{context.mark}-deep", "size": 1}})
        if not made.good:
            self._why = f"no volume could be made: {failure(made)}"
            return
        self._volume = made.body["volume"]["id"]

    def try_it(self) -> None:
        context, cinder = self._context, self._cinder
        context.backed_up = True
        if not self._why and (context.void or context.probe_good is None):
            self._why = (context.void or context.why_unprobed
                         or "there is no expired token to ask with")
        if not self._why and cinder is not None:
            state = self._wait("volumes", "volume", self._volume)
            if state != "available":
                self._why = f"the volume became {state}"
        if self._why or cinder is None:
            context.add(CHECK, NAME, Verdict.UNPROVEN, self._why, fix=_OPTION)
            return
        context.cleanup.add(f"backup {context.mark}-deep", self._remove_backup)
        context.told("waiting for a backup of 1 GiB with an expired token")
        state, reason = self._back_up(cinder, Speaker.PROBE_AND_SERVICE)
        if state == "available":
            context.add(CHECK, NAME, Verdict.OK,
                        "1 GiB was backed up with a token that had ended before")
            return
        # Whether it was the token's end that mattered shows a backup with one that lives.
        context.told("waiting for a backup of 1 GiB with a living token")
        alive, other = self._back_up(cinder, Speaker.USER_AND_SERVICE)
        if alive != "available":
            context.add(CHECK, NAME, Verdict.BROKEN,
                        f"no backup can be made, with a living token neither: {other or alive}",
                        f"{context.long} fails if it backs up volumes", "see the log of "
                        "cinder-backup")
            return
        # Once more: see services._ask_expired.
        if context.judged_by_probe_token():
            state, reason = self._back_up(cinder, Speaker.PROBE_AND_SERVICE)
        if state == "available":
            context.add(CHECK, NAME, Verdict.OK, "1 GiB was backed up with a token that had ended "
                        "before, the second time it was tried")
            return
        if not context.judged_by_probe_token():
            context.add(CHECK, NAME, Verdict.UNPROVEN, context.void, fix=_OPTION)
            return
        verdict, means = context.beyond_token("fails at each backup that is still under way or "
                                              "begins")
        context.add(CHECK, NAME, verdict, f"a backup with an expired token became {state}"
                    f"{': ' + reason if reason else ''}; one with a living token was made",
                    means, _OPTION)

    # ------------------------------------------------------------------
    def _back_up(self, cinder: Served, speaker: Speaker) -> tuple[str, str]:
        """Return the state that it came to, and what Cinder says of it. A scheduler that has
        just been started does not know of any backup service for a while: that is waited for."""
        until = self._context.now + _SCHEDULED
        while True:
            state, reason = self._back_up_once(cinder, speaker)
            if "service not found" not in reason.lower() or self._context.now > until:
                return state, reason
            self._context.sleep(5.0)

    def _back_up_once(self, cinder: Served, speaker: Speaker) -> tuple[str, str]:
        asked = self._ask(cinder, "/backups", speaker, "POST", {
            "backup": {"name": f"{self._context.mark}-deep", "volume_id": self._volume,
                       "force": True}})
        if not asked.good:
            return "refused", failure(asked)
        id = asked.body["backup"]["id"]
        state = self._wait("backups", "backup", id)
        said = self._ask(cinder, f"/backups/{id}", Speaker.USER)
        reason = said.body["backup"].get("fail_reason") if said.good else failure(said)
        return state, " ".join(str(reason or "").split())[:200]

    def _ask(self, cinder: Served, path: str, speaker: Speaker, method: str = "GET",
             json: Any = None) -> Answer:
        return self._context.probe.ask(f"{cinder.url}{path}", speaker, method, json=json,
                                       version="volume 3.70")

    def _wait(self, plural: str, single: str, id: str, *, longest: float = LONGEST) -> str:
        """Wait until the thing comes to rest, and return its state."""
        assert self._cinder is not None     # noqa: S101 - something was made there
        until = self._context.now + longest
        state = ""
        while self._context.now < until:
            answer = self._ask(self._cinder, f"/{plural}/{id}", Speaker.USER)
            if answer.status == 404:
                return "gone"
            if answer.good:
                state = str(answer.body[single]["status"])
                if state not in ("creating", "deleting", "backing-up", "restoring"):
                    return state
            self._context.sleep(_LOOK)
        return f"stuck in {state}"

    def _remove_backup(self) -> Answer:
        return self._remove("backups", "backup")

    def _remove_volume(self) -> Answer:
        return self._remove("volumes", "volume")

    def _remove(self, plural: str, single: str) -> Answer:
        """Remove the thing and wait until it is gone. It is found by its name, since an
        interruption may have hidden its id."""
        if self._cinder is None:
            return Answer(204)
        name = f"{self._context.mark}-deep"
        answer = self._ask(self._cinder, f"/{plural}?name={name}", Speaker.USER)
        if not answer.good:
            return answer
        for one in answer.body[plural]:
            self._wait(plural, single, one["id"], longest=_SETTLED)
            removed = self._ask(self._cinder, f"/{plural}/{one['id']}", Speaker.USER, "DELETE")
            if not removed.good and removed.status != 404:
                return removed
            state = self._wait(plural, single, one["id"], longest=_SETTLED)
            if state != "gone":
                return Answer(409, f"it became {state}")
        return Answer(204)


_OPTION = (f"backup_swift_service_auth = true and {SERVICE_USER}, in cinder.conf of cinder-backup; "
           "or backup_swift_auth = single_user, or a driver that is not Swift")

