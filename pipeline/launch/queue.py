"""Whether a job is in Slurm's queue; without accounting nothing else can be asked, and the answer may not come."""

import subprocess

QUEUE_SECONDS = 10.0
"""Between two questions: a controller has others to serve."""
_ANSWER_SECONDS = 20.0


def in_queue(job: str) -> bool | None:
    """Whether a job waits or runs; None if Slurm does not answer, as while its controller is started again."""
    question = ["squeue", "--noheader", "--jobs", job, "--format=%T"]
    try:
        asked = subprocess.run(question, capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode == 0:
        return bool(asked.stdout.strip())
    return False if "Invalid job id" in asked.stderr else None
