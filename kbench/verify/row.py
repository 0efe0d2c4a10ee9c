"""One line of a report."""

from typing import Literal, NamedTuple

# equal: within the tolerance that the line names; differs: ``why`` says from what and what follows, or nothing does;
# published, assumed: where a value comes from; unpublished: there is nothing to hold it against; not done: and why not.
State = Literal["equal", "differs", "published", "assumed", "unpublished", "not done"]


class Row(NamedTuple):
    """What was published of one thing, and what it is here."""

    part: str  # of the report
    what: str
    published: str
    here: str
    state: State
    why: str = ""  # why it differs, or where it was read
