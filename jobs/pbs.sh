#!/usr/bin/env bash
{## Runs on OpenPBS or PBS Pro; mpirun starts the ranks on the nodes that it gives.  {{ ... | sh }} is quoted for the shell. ##}
#PBS -N {{ job_name }}
#PBS -S /bin/bash
#PBS -j oe
#PBS -o /dev/null
#PBS -r {{ "y" if requeue else "n" }}
#PBS -l select={{ nodes }}:ncpus={{ ranks_per_node * (cpus_per_rank or threads_per_rank) }}:mpiprocs={{ ranks_per_node }}
{%- if gpus_per_node %}:ngpus={{ gpus_per_node }}{% endif %}
{%- if memory %}:mem={{ memory | lower }}b{% endif %}

{% if nodes > 1 and "place=" not in options | join(" ") %}
#PBS -l place=scatter
{% endif %}
{% if time_limit %}
#PBS -l walltime={{ time_limit_s }}
{% endif %}
{% if partition %}
#PBS -q {{ partition }}
{% endif %}
{% if account %}
#PBS -A {{ account }}
{% endif %}
{% if after %}
#PBS -W depend=afterany:{{ after | join(":") }}
{% endif %}
{% for option in options %}
#PBS {{ option }}
{% endfor %}
# PBS would bring its own output file only after the end, and starts in the home folder.
exec >>{{ log | sh }} 2>&1
cd "${PBS_O_WORKDIR:-.}" || exit 1
{% set node_file = '"${PBS_NODEFILE:-/dev/null}"' %}
{% include "parts/mpirun-job.sh" %}
