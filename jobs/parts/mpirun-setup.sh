{## What stands before mpirun, the site's own lines included. ##}
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
{% for line in setup %}
{{ line }}
{% endfor %}
{% include "parts/spin.sh" %}
