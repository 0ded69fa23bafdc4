"""Starts no workers: the run is frozen for workers that a script, Kubernetes or a person starts."""

import logging
import shlex

from pipeline.launch.worker_command import FrozenRun
from pipeline.run.launch_options import LaunchOptions
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)


def launch(frozen: FrozenRun[LaunchOptions], _stop: StopRequest) -> int:
    """Logs the command line of a worker."""
    command = shlex.join(frozen.worker_command(0))
    log.info("the run is frozen; start %d workers, the first of them by: %s", frozen.workers, command)
    return 0
