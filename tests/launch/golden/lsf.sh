#!/usr/bin/env bash
#BSUB -J kb0123abcd
#BSUB -o /dev/null
#BSUB -n 8
#BSUB -R "span[ptile=4]"
#BSUB -gpu "num=4:mode=shared"
#BSUB -r
#BSUB -W 720
#BSUB -q normal
#BSUB -P faster
#BSUB -w "ended(12)"
#BSUB -x
# LSF reads this script from its standard input, and starts it where it was submitted.
exec >>/data/results/small/jobs/kb0123abcd.log 2>&1
run_ids=(digits-cnn-digits.baseline.s0.0123abcd)
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# shellcheck disable=SC2317  # the trap calls it
setup_failed() {
    trap - EXIT
    exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd \
        --setup-failed "$kbench_line ends with status $1" "${run_ids[@]}" -- true
}
setup_ended() { [ "$1" -eq 0 ] || exit "$1"; }
trap 'setup_failed "$?"' EXIT
kbench_line='setup line 1 (module load openmpi)'
module load openmpi
setup_ended "$?"
trap - EXIT
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":/opt/kbench/bin
options=() # of Open MPI, which counts cores and binds ranks to them unless told otherwise; others do not know these
case "$(mpirun --version 2>&1)" in *"Open MPI"* | *OpenRTE* | *PRRTE*) options=(--oversubscribe --bind-to none) ;; esac
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
hosts=$(awk -v ranks=4 '!seen[$1]++ { printf "%s%s:%d", sep, $1, ranks; sep = "," }' "${LSB_DJOB_HOSTFILE:-/dev/null}")
echo "allocation: 2 node(s) of 4 GPU(s), 8 core(s) per rank; given: ${hosts:=localhost:4}"
# mpirun does not carry the environment to other hosts, env does.
rank=(env OMP_NUM_THREADS=8 PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}"
    ${GOMP_SPINCOUNT+"GOMP_SPINCOUNT=$GOMP_SPINCOUNT"} ${KMP_BLOCKTIME+"KMP_BLOCKTIME=$KMP_BLOCKTIME"} \
    ${OMP_WAIT_POLICY+"OMP_WAIT_POLICY=$OMP_WAIT_POLICY"} \
    /opt/kbench/bin/python -m kbench.worker)
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 585 --limit 42600 --requeue "${run_ids[@]}" -- \
    mpirun -np 8 --host "$hosts" \
    "${options[@]}" \
    "${rank[@]}"
