#!/usr/bin/env bash
export OMP_NUM_THREADS=8
others=("$@")
# shellcheck disable=SC2317  # the trap calls it
setup_failed() {
    trap - EXIT
    /opt/kbench/bin/python -m kbench.launch.failure "$kbench_line ends with status $1" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "${others[@]}"
    exit 1
}
setup_ended() { [ "$1" -eq 0 ] || exit "$1"; }
trap 'setup_failed "$?"' EXIT
kbench_line='setup line 1 (module load cuda)'
module load cuda
setup_ended "$?"
trap - EXIT
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
/opt/kbench/bin/python -m torch.distributed.run --standalone --nproc-per-node 2 \
    --module kbench.worker /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || /opt/kbench/bin/python -m kbench.launch.failure "$status" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
exit "$status"
