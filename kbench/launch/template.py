"""Job scripts: shell that an administrator can read, with every value quoted."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, UndefinedError, meta

from kbench.errors import ConfigError


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
