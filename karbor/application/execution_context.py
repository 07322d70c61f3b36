"""A Setting from the configuration: what commands and workers have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from karbor import config
from karbor.application.clouds import Clouds
from karbor.engine.concurrency_limits import Limit
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.plugin.protectable import Protectable


def execution_context(conf: config.ConfigOpts, provider: Provider,
                      protectables: Mapping[str, Protectable], clouds: Clouds,
                      provider_of: Callable[[str], Provider]) -> ExecutionContext:
    """With the options as they are now. `provider_of` opens another one, for what reads from it."""
    # Plugins name their limits with hyphens, options have underscores.
    limits = {name.replace("_", "-"): Limit(conf.limits[f"provider_{name}"],
                                            conf.limits[f"project_{name}"])
              for name in config.LIMITED}
    return ExecutionContext(
        provider,
        protectables,
        clouds.of,
        time.time,
        limits,
        clouds.ended,
        conf.credentials.slowest_rate,
        provider_of,
        waits={kind: 60 * conf.waits[kind] for kind in config.WAITS},
        made_anew=conf.waits.made_anew,
        made_anew_pause=conf.waits.made_anew_pause,
        reader_roles=frozenset(conf.credentials.reader_roles),
    )
