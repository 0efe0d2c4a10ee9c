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
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
{% for line in setup %}
{{ line }}
{% endfor %}
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":{{ host_python.rpartition("/")[0] | sh }}
hosts=$(awk -v ranks={{ ranks_per_node }} '!seen[$1]++ { printf "%s%s:%d", sep, $1, ranks; sep = "," }' "${PBS_NODEFILE:-/dev/null}")
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
