#!/usr/bin/env bash
{## Runs on a Slurm cluster whose ranks are started by mpirun within the allocation.  {{ ... | sh }} is quoted for the shell. ##}
{% include "parts/slurm-directives.sh" %}
export OMP_NUM_THREADS={{ threads_per_rank }}
{% include "parts/slurm-tasks.sh" %}
{% include "parts/mpirun-setup.sh" %}
{% if nodes > 1 %}
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/:{{ ranks_per_node }}/' | paste -sd,)
{% endif %}
{% include "parts/slurm-runs.sh" %}
    {{ mpirun | sh }} -np {{ ranks }}{% if nodes > 1 %} --host "$hosts"{% endif %} \
{% include "parts/mpirun-options.sh" %}
    env OMP_NUM_THREADS={{ threads_per_rank }} PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
{% include "parts/spin-env.sh" %}
    {{ python | map("sh") | join(" ") }} -m kbench.worker
