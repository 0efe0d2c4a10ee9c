"""The script of a scheduler's job: a template of jobs/ filled with the settings of the site and the runs."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
    UndefinedError,
    meta,
)

from kbench.config.lookup import find, folders
from kbench.config.site import Site
from kbench.errors import ConfigError
from kbench.launch.schedulers.registry import scheduler_class
from kbench.records.folders import ExperimentDir, RunDir


def render(template: Path, values: Mapping[str, object], *, given: Mapping[str, object]) -> str:
    """Fill a job template, in which parts of ``jobs/`` may be included.

    ``given`` are settings of the site that the template must not ignore.  Raises ConfigError when the
    template names what has no value, or leaves out what was given.
    """
    return render_text(template.read_text(encoding="utf-8"), values, given=given, place=str(template))


def render_text(text: str, values: Mapping[str, object], *, given: Mapping[str, object], place: str) -> str:
    """Fill the text of a job template; errors name ``place``."""
    environment = Environment(
        loader=FileSystemLoader(folders("jobs"), encoding="utf-8"),
        undefined=StrictUndefined,
        comment_start_string="{##",  # so that bash's ${#array[@]} survives
        comment_end_string="##}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    try:
        used = _variables(environment, text, None)
        script = environment.from_string(text).render({**values, **given})
    except TemplateSyntaxError as error:
        where = error.filename if Path(error.filename or "").is_file() else place  # a part, or the template itself
        raise ConfigError(f"{where}:{error.lineno}: is no valid template: {error.message}") from error
    except UndefinedError as error:
        raise ConfigError(f"{place}: no value: {error}", hint="give it in the site file, or with --set") from error
    except TemplateNotFound as error:
        raise ConfigError(f"{place}: includes {error.name}, which is not in jobs/") from error
    except TemplateRuntimeError as error:
        raise ConfigError(f"{place}: is no valid template: {error.message}") from error
    ignored = sorted(given.keys() - used)
    if ignored:
        raise ConfigError(
            f"{place}: does not use {', '.join(ignored)}, which the site sets",
            hint="use it in the template, choose another one, or take it out of the site file",
        )
    return script


def _variables(environment: Environment, text: str, path: str | None) -> set[str]:
    """The variables that a template uses, in itself and in the parts that it includes."""
    tree = environment.parse(text, filename=path)
    used = meta.find_undeclared_variables(tree)
    for name in meta.find_referenced_templates(tree):
        if name and environment.loader:
            used |= _variables(environment, *environment.loader.get_source(environment, name)[:2])
    return used


Task = tuple[RunDir, ...]  # runs that share an allocation, one after the other
EXIT_S = 15  # that are left for the end of a run when its time limit has come near
NOT_FOR_TEMPLATES = (
    "hostnames",
    "launcher",
    "template",
    "queue",
    "arrays",
    "data_root",
    "scratch",
    "network_interface",
    "signal_s",
    "hang_limit_s",
)


def script(
    site: Site, experiment: ExperimentDir, token: str, tasks: Mapping[int, Task], *,
    after: Sequence[str], avoid: Sequence[str], max_parallel: int | None, arrays: bool, after_whole: Sequence[str] = (),
) -> str:  # fmt: skip
    """The text of a job script.

    It waits for the jobs ``after``, an array for their tasks of its own numbers, and for all of ``after_whole``.

    Raises ConfigError when the template lacks a value, or does not use what the site sets.
    """
    scheduler = scheduler_class(site.launcher)
    where = str(experiment.path.absolute())
    if problem := scheduler.path_problem(where):
        raise ConfigError(
            f"{where!r}: a folder with {problem} in its name is no place for job scripts", hint="name another --results"
        )
    own = site.model_dump(exclude=set(NOT_FOR_TEMPLATES))
    own["python"] = [*own.pop("container"), site.python or sys.executable]
    values = {
        **own,
        "mpirun_unset": "mpirun_options" not in site.model_fields_set,
        "token": token,
        "job_name": scheduler.job_name(experiment.path.name, token),
        "log": experiment.job_script(token).with_suffix(".log").absolute(),
        "runs": experiment.runs_folder.absolute(),
        "tasks": {number: [run.run_id for run in task] for number, task in tasks.items()},
        "host_python": sys.executable,
        "ranks": site.ranks,
        "time_limit_s": site.time_limit_s,
        "signal_s": site.signal_s,
        "grace_s": max(0, site.signal_s - EXIT_S),
        "exclude": list(avoid),
        "after": list(after),
        "after_whole": list(after_whole),
        "array": ",".join(map(str, tasks)) if arrays else "",
        "max_parallel": max_parallel,
    }
    given = {key: own[key] for key in site.model_fields_set & own.keys() if own[key] and key != "nodes"}
    given |= {"python": own["python"]} | ({"after": list(after)} if after else {})
    given |= {"after_whole": list(after_whole)} if after_whole else {}
    name = site.template or scheduler.template
    if name:
        return render(find(name, "jobs", ".sh", "job template"), values, given=given)
    if scheduler.template_text:
        return render_text(scheduler.template_text, values, given=given, place=f"template of launcher {site.launcher}")
    raise ConfigError(
        f"template: launcher {site.launcher!r} has none of its own", hint="name one, for instance template: sge"
    )


def check_template(site: Site, experiment: ExperimentDir, runs: Sequence[RunDir]) -> str:
    """The script as it would be submitted for the first of ``runs``; raises ConfigError where it cannot be."""
    tasks = {0: tuple(runs[:1])}
    return script(site, experiment, "kb00000000", tasks, after=(), avoid=(), max_parallel=None, arrays=False)
