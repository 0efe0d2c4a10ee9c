#!/usr/bin/env bash
{## Runs on a Slurm cluster; srun starts the ranks, no MPI is needed.  {{ ... | sh }} is quoted for the shell. ##}
{% include "parts/slurm-directives.sh" %}
export OMP_NUM_THREADS={{ threads_per_rank }}
{% include "parts/slurm-tasks.sh" %}
{% include "parts/setup.sh" %}
{% include "parts/spin.sh" %}
{% include "parts/slurm-runs.sh" %}
    srun --ntasks={{ ranks }} --ntasks-per-node={{ ranks_per_node }}
{%- if cpus_per_rank %} --cpus-per-task={{ cpus_per_rank }}{% endif %} --kill-on-bad-exit=1 --unbuffered \
    {{ python | map("sh") | join(" ") }} -m kbench.worker
