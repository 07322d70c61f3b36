"""Options of work: how much at once, how long a stage waits, when schedules run."""

from __future__ import annotations

from oslo_config import cfg

LIMITED = ("cinder_backups", "glance_transfers", "server_images")
"""Kinds of work that plugins declare as their `limit` (there with hyphens)."""


def _limit(what: str, provider: int, project: int, words: str, why: str) -> list[cfg.Opt]:
    return [
        cfg.IntOpt(f"provider_{what}", mutable=True, default=provider, min=1,
                   help=f"{words}, in all operations of one provider together: {why}. Others wait "
                        "for their turn, and say so."),
        cfg.IntOpt(f"project_{what}", mutable=True, default=project, min=1,
                   help="Of these, in all operations of one project. At most "
                        f"provider_{what}.")]


LIMITS = [
    cfg.IntOpt("workers", default=8, min=1,
               help="Threads that run steps; the connection pool has room for them all."),
    cfg.IntOpt("carriers", default=2, min=1,
               help="Threads that move bytes. Each uses about one core at full speed."),
    *_limit("cinder_backups", 16, 4,
            "Cinder backups and restores under way at once",
            "a cinder-backup service works on few at a time and the rest would only wait there"),
    *_limit("glance_transfers", 4, 2,
            "Images read from or written to Glance at once", "each fills a connection"),
    *_limit("server_images", 8, 2,
            "Images being made of servers at once",
            "each reads a whole disk on a compute host"),
    cfg.IntOpt("provider_operations", mutable=True, default=10, min=1,
               help="Operations of one provider that all workers together drive at once; others "
                    "wait. Not for commands, which drive what they were told to."),
    cfg.IntOpt("project_operations", mutable=True, default=2, min=1,
               help="Of these, operations of one project: it does not keep the others waiting. "
                    "At most provider_operations."),
]

WAITS = ("at_rest", "snapshot", "volume", "backup", "server_image", "image_data", "server",
         "removal", "unavailable")
"""Kinds of waiting, each with an option of its own in [waits]."""


def _wait(kind: str, minutes: float, words: str) -> cfg.Opt:
    return cfg.FloatOpt(kind, mutable=True, default=minutes, min=0.01,
                        help=f"Minutes that a stage waits at most {words}. What has not come by "
                             "then fails, with the state that it was last seen in.")


WAIT_OPTIONS = [
    _wait("at_rest", 60, "until nobody works on a volume or share that is to be protected: until "
          "it has been attached, extended, or backed up by somebody else"),
    _wait("snapshot", 60, "until Cinder or Manila has made a snapshot"),
    _wait("volume", 720, "until Cinder or Manila has made the new volume or share of a restore"),
    _wait("backup", 2880, "until Cinder has made, or restored, a backup; one that is being "
          "restored into another volume is waited for as well"),
    _wait("server_image", 720, "until Nova has made an image of a server's disk"),
    _wait("image_data", 60, "until an image has the bytes that somebody is uploading"),
    _wait("server", 60, "until Nova has built the server of a restore, attached a volume to it, or "
          "stopped it"),
    _wait("removal", 60, "until something that it removes is gone, before it is told as left over"),
    _wait("unavailable", 240, "for a service, or the bank, that does not answer"),
    cfg.IntOpt("made_anew", mutable=True, default=2, min=0,
               help="How often a stage that a service broke off (a backup that ended in an error "
                    "because cinder-backup or Swift was restarted) is made anew, once what is left "
                    "of the failed try has been removed. 0: such a failure ends the operation."),
    cfg.FloatOpt("made_anew_pause", mutable=True, default=15.0, min=0.0,
                 help="Seconds before that, for the service to come back."),
]

SCHEDULE = [
    cfg.IntOpt("min_interval", default=3600, min=1,
               help="Seconds that lie at least between two due times of a trigger: what is more "
                    "frequent is refused."),
    cfg.IntOpt("min_window_time", default=900, min=1,
               help="Seconds for which a scheduled operation may be begun late, at least, and "
                    "where its trigger says nothing. What was not begun by then is missed."),
    cfg.IntOpt("max_window_time", default=1800, min=1,
               help="The same, at most."),
    cfg.IntOpt("poll_interval", default=15, min=1,
               help="Seconds until an engine looks again for what is due, at the latest: a new or "
                    "changed trigger, and the end of an operation, are noticed that late."),
    cfg.IntOpt("rights_days", default=365, min=1,
               help="Days for which the trust of a scheduled operation is asked for. Its user "
                    "renews it by changing or taking over the scheduled operation."),
    cfg.IntOpt("rights_warning_days", default=30, min=0,
               help="Days before the end of its rights from which a scheduled operation says so."),
    cfg.IntOpt("history_days", default=90, min=1,
               help="Days for which it can be seen what came of each due time."),
]
