#!/usr/bin/env bash
{## Runs on Flux; flux run starts the ranks in the instance that the job is, no MPI is needed.  {{ ... | sh }} is quoted for the shell. ##}
#flux: --job-name={{ job_name }}
#flux: --output={{ log | sh }}
#flux: --nodes={{ nodes }}
#flux: --nslots={{ ranks }}
{% if cpus_per_rank %}
#flux: --cores-per-slot={{ cpus_per_rank }}
{% endif %}
{% if gpus_per_node %}
#flux: --gpus-per-slot={{ gpus_per_node // ranks_per_node }}
{% endif %}
{% if time_limit %}
#flux: --time-limit={{ time_limit_s }}s
{% endif %}
{% if partition %}
#flux: --queue={{ partition }}
{% endif %}
{% if account %}
#flux: --bank={{ account }}
{% endif %}
{% for job in after %}
#flux: --dependency=afterany:{{ job }}
{% endfor %}
{% for option in options %}
#flux: {{ option }}
{% endfor %}
export OMP_NUM_THREADS={{ threads_per_rank }}
run_ids=({{ tasks[0] | map("sh") | join(" ") }})
{% include "parts/setup.sh" %}
{% include "parts/spin.sh" %}
# What Flux calls this job outside of it, and the hosts that it has.
KBENCH_JOB_ID=$(flux job id --to=dec "$(flux getattr jobid)")
KBENCH_JOB_NODES=$(mktemp)
export KBENCH_JOB_ID KBENCH_JOB_NODES
flux exec -r all hostname >"$KBENCH_JOB_NODES"
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --token {{ token }} --grace {{ grace_s }}
{%- if time_limit %} --limit {{ time_limit_s - signal_s }}{% endif %} "${run_ids[@]}" -- \
    flux run --nodes={{ nodes }} --ntasks={{ ranks }}
{%- if cpus_per_rank %} --cores-per-task={{ cpus_per_rank }}{% endif %}
{%- if gpus_per_node %} --gpus-per-task={{ gpus_per_node // ranks_per_node }}{% endif %} \
    {{ python | map("sh") | join(" ") }} -m kbench.worker
