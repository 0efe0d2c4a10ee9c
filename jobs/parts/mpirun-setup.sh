{## What stands before mpirun: the site's own lines, options, and how threads spin. ##}
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
{% include "parts/setup.sh" %}
{% if run_dir is not defined and host_python is defined %}
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":{{ host_python.rpartition("/")[0] | sh }}
{% endif %}
{% if mpirun_unset is defined and mpirun_unset and ranks > 1 %}
options=() # of Open MPI, which counts cores and binds ranks to them unless told otherwise; others do not know these
case "$({{ mpirun | sh }} --version 2>&1)" in *"Open MPI"* | *OpenRTE* | *PRRTE*) options=(--oversubscribe --bind-to none) ;; esac
{% endif %}
{% include "parts/spin.sh" %}
