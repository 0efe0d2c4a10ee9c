#!/usr/bin/env bash
export OMP_NUM_THREADS=8
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
export RANK=0 WORLD_SIZE=1 LOCAL_RANK=0
/opt/kbench/bin/python -m kbench.worker /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || /opt/kbench/bin/python -m kbench.launch.failure "$status" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
exit "$status"
