#!/usr/bin/env bash
{## Runs on IBM Spectrum LSF; mpirun starts the ranks on the hosts that it gives.  {{ ... | sh }} is quoted for the shell. ##}
#BSUB -J {{ job_name }}
#BSUB -o /dev/null
#BSUB -n {{ ranks }}
#BSUB -R "span[ptile={{ ranks_per_node }}]"
{% if gpus_per_node %}
#BSUB -gpu "num={{ gpus_per_node }}:mode=shared"
{% endif %}
{% if memory %}
#BSUB -R "rusage[mem={{ memory }}B]"
{% endif %}
{{ "#BSUB -r" if requeue else "#BSUB -rn" }}
{% if time_limit %}
#BSUB -W {{ time_limit_s // 60 }}
{% endif %}
{% if partition %}
#BSUB -q {{ partition }}
{% endif %}
{% if account %}
#BSUB -P {{ account }}
{% endif %}
{% if after %}
#BSUB -w "ended({{ after | join(") && ended(") }})"
{% endif %}
{% for option in options %}
#BSUB {{ option }}
{% endfor %}
# LSF reads this script from its standard input, and starts it where it was submitted.
exec >>{{ log | sh }} 2>&1
{% set node_file = '"${LSB_DJOB_HOSTFILE:-/dev/null}"' %}
{% include "parts/mpirun-job.sh" %}
