#!/usr/bin/env bash
{## Runs on a Grid Engine; mpirun starts the ranks on the hosts that it gives.  {{ ... | sh }} is quoted for the shell. ##}
{## Slots and GPUs are named differently everywhere: they come from the site's options, such as "-pe smp 4". ##}
#$ -N {{ job_name }}
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o /dev/null
#$ -notify
#$ -r {{ "y" if requeue else "n" }}
{% if time_limit %}
#$ -l h_rt={{ time_limit_s }}
{% endif %}
{% if partition %}
#$ -q {{ partition }}
{% endif %}
{% if account %}
#$ -P {{ account }}
{% endif %}
{% if after %}
#$ -hold_jid {{ after | join(",") }}
{% endif %}
{% for option in options %}
#$ {{ option }}
{% endfor %}
# A path in a directive would be changed (commas, colons, dollar signs); here it is not.
exec >>{{ log | sh }} 2>&1
{% set node_file = '"${PE_HOSTFILE:-/dev/null}"' %}
{% include "parts/mpirun-job.sh" %}
