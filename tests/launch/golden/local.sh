#!/usr/bin/env bash
export OMP_NUM_THREADS=8
export RANK=0 WORLD_SIZE=1 LOCAL_RANK=0
/opt/kbench/bin/python -m kbench.worker /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || /opt/kbench/bin/python -m kbench.launch.failure /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$status"
exit "$status"
