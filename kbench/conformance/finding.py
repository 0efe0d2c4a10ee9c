"""What a check tells when a method breaks its word."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A promise that was broken: which, what was seen, where, and what to do about it."""

    check: str
    what: str
    where: str
    do: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.what} ({self.where}); {self.do}"
