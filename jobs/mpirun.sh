#!/usr/bin/env bash
{## One run whose ranks are started by mpirun; they find their places in its variables. ##}
export OMP_NUM_THREADS={{ threads_per_rank | sh }}
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
{% for line in setup %}
{{ line }}
{% endfor %}
{{ mpirun | sh }} -np {{ ranks | sh }} \
{% if hosts %}
    --host {{ hosts | join(",") | sh }} \
{% endif %}
{% if hostfile %}
    --hostfile {{ hostfile | sh }} \
{% endif %}
{% if mpirun_options %}
    {{ mpirun_options | map("sh") | join(" ") }} \
{% endif %}
{% if hosts or hostfile %}
    env OMP_NUM_THREADS={{ threads_per_rank | sh }} PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
{% endif %}
    {{ python | map("sh") | join(" ") }} -m kbench.worker {{ run_dir | sh }}
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || {{ host_python | sh }} -m kbench.launch.failure {{ run_dir | sh }} "$status"
exit "$status"
