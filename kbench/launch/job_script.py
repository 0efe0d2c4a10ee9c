"""The script of a scheduler's job: a template filled with what the site and the runs say."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, UndefinedError, meta

from kbench.config.lookup import find
from kbench.config.site import Site
from kbench.errors import ConfigError
from kbench.records.folders import ExperimentDir, RunDir


def render(template: Path, values: Mapping[str, object], *, given: Mapping[str, object]) -> str:
    """Fill a job template; ``given`` are the site's own settings, which it must not ignore.

    Raises ConfigError when the template names what has no value, or leaves out what was given.
    """
    environment = Environment(
        undefined=StrictUndefined,
        comment_start_string="{##",  # so that bash's ${#array[@]} survives
        comment_end_string="##}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    text = template.read_text()
    try:
        named = meta.find_undeclared_variables(environment.parse(text))
        script = environment.from_string(text).render({**values, **given})
    except TemplateSyntaxError as error:
        raise ConfigError(f"{template}:{error.lineno}: is no valid template: {error.message}") from error
    except UndefinedError as error:
        raise ConfigError(f"{template}: no value: {error}", hint="give it in the site file, or with --set") from error
    except TemplateRuntimeError as error:
        raise ConfigError(f"{template}: is no valid template: {error.message}") from error
    ignored = sorted(given.keys() - named)
    if ignored:
        raise ConfigError(
            f"{template}: does not use {', '.join(ignored)}, which the site sets",
            hint="use it in the template, choose another one, or take it out of the site file",
        )
    return script


Task = tuple[RunDir, ...]  # runs that share an allocation, one after the other
LEAVING_S = 15  # [s] that are left for the end of a run when its time limit has come near
KEPT_FOR_OURSELVES = (
    "hostnames",
    "launcher",
    "template",
    "queue",
    "arrays",
    "data_root",
    "scratch",
    "network_interface",
    "signal_s",
)


def script(
    site: Site, experiment: ExperimentDir, token: str, tasks: Mapping[int, Task], *,
    after: Sequence[str], avoid: Sequence[str], max_parallel: int | None, arrays: bool,
) -> str:  # fmt: skip
    """The text of a job script.

    Raises ConfigError when the template lacks a value, or does not use what the site sets.
    """
    if site.launcher == "queue" and not site.template:
        raise ConfigError("template: launcher 'queue' has none of its own", hint="name one, for instance template: sge")
    where = str(experiment.path.absolute())
    lost = "\\" in where and site.launcher == "slurm"  # it loses a backslash, however it is quoted
    if not where.isprintable() or lost:
        raise ConfigError(
            f"{where!r}: a folder with {'a backslash' if lost else 'control characters'} in its name is no place for "
            "job scripts",
            hint="name another --results",
        )
    template = find(site.template or site.launcher, "jobs", ".sh", "job template")
    own = site.model_dump(exclude=set(KEPT_FOR_OURSELVES))
    own["python"] = [*own.pop("container"), site.python or sys.executable]
    values = {
        **own,
        "job_name": f"{experiment.path.name}.{token}" if site.launcher == "slurm" else token,
        "log": experiment.job_script(token).with_suffix(".log").absolute(),
        "runs": experiment.runs_folder.absolute(),
        "tasks": {number: [run.run_id for run in task] for number, task in tasks.items()},
        "host_python": sys.executable,
        "ranks": site.ranks,
        "time_limit_s": site.time_limit_s,
        "signal_s": site.signal_s,
        "grace_s": max(0, site.signal_s - LEAVING_S),
        "exclude": list(avoid),
        "after": list(after),
        "array": ",".join(map(str, tasks)) if arrays else "",
        "max_parallel": max_parallel,
    }
    given = {key: own[key] for key in site.model_fields_set & own.keys() if own[key] and key != "nodes"}
    given |= {"python": own["python"]} | ({"after": list(after)} if after else {})
    return render(template, values, given=given)


def check_template(site: Site, experiment: ExperimentDir, runs: Sequence[RunDir]) -> str:
    """The script as it would be handed in for the first of ``runs``; raises ConfigError where it cannot be."""
    tasks = {0: tuple(runs[:1])}
    return script(site, experiment, "kb00000000", tasks, after=(), avoid=(), max_parallel=None, arrays=False)
