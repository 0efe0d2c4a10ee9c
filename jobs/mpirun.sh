#!/usr/bin/env bash
{## One run whose ranks are started by mpirun; they find their places in its variables. ##}
export OMP_NUM_THREADS={{ threads_per_rank | sh }}
{% include "parts/mpirun-setup.sh" %}
{{ mpirun | sh }} -np {{ ranks | sh }} \
{% if hosts %}
    --host {{ hosts | join(",") | sh }} \
{% endif %}
{% if hostfile %}
    --hostfile {{ hostfile | sh }} \
{% endif %}
{% include "parts/mpirun-options.sh" %}
{% if hosts or hostfile %}
    env OMP_NUM_THREADS={{ threads_per_rank | sh }} PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
{% include "parts/spin-env.sh" %}
{% endif %}
    {{ python | map("sh") | join(" ") }} -m kbench.worker {{ run_dir | sh }} "$@"
{% include "parts/local-end.sh" %}
