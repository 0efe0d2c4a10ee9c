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
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
{% for line in setup %}
{{ line }}
{% endfor %}
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":{{ host_python.rpartition("/")[0] | sh }}
hosts=$(awk -v ranks={{ ranks_per_node }} '!seen[$1]++ { printf "%s%s:%d", sep, $1, ranks; sep = "," }' "${PE_HOSTFILE:-/dev/null}")
echo "allocation: {{ nodes }} node(s) of {{ gpus_per_node }} GPU(s), {{ cpus_per_rank or threads_per_rank }} core(s) per rank; given: ${hosts:=localhost:{{ ranks_per_node }}}"
# mpirun does not carry the environment to other hosts, env does.
rank=(env OMP_NUM_THREADS={{ threads_per_rank }} PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}"
    {{ python | map("sh") | join(" ") }} -m kbench.worker)
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --grace {{ grace_s }}
{%- if time_limit %} --limit {{ time_limit_s - signal_s }}{% endif %}
{%- if requeue %} --requeue{% endif %} {{ tasks[0] | map("sh") | join(" ") }} -- \
{% if ranks == 1 %}
    env RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 "${rank[@]}"
{% else %}
    {{ mpirun | sh }} -np {{ ranks }} --host "$hosts" {{ mpirun_options | map("sh") | join(" ") }} "${rank[@]}"
{% endif %}
