"""The Grid Engine that the other tests stand on is a real one."""

from pathlib import Path

import pytest
from daemons import wait_until
from grid_engine import GridEngine

pytestmark = pytest.mark.sge

JOB = """\
#!/bin/bash
#$ -N kb12345678 -j y -pe mpi 2 -r y -notify
trap 'echo ended; exit' USR2
echo "start $RESTARTED $NSLOTS"
[ "$RESTARTED" = 1 ] || exit 99
sleep 100 &
wait
"""


def test_a_job_starts_is_put_back_and_is_ended(sge: GridEngine, tmp_path: Path) -> None:
    script, log = tmp_path / "job.sh", tmp_path / "log"
    script.write_text(JOB)
    job = sge.run("qsub", "-terse", "-o", str(log), str(script)).strip()
    sge.await_state(job, "Rr")
    sge.run("qdel", job)
    sge.await_state(job, "")
    wait_until(lambda: "ended" in log.read_text(), within_s=10, what=log.read_text)
    assert log.read_text().splitlines()[:2] == ["start 0 2", "start 1 2"]
