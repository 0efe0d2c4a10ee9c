"""Hits: which samples of the validation set a run got right in its final evaluation, a bit each."""

import base64
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from kbench.records.run_files import RunFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Hits(RunFile):
    """The samples that a run's final model classifies right, in the order of the validation set."""

    NAME = "hits.json"
    REMEDY: ClassVar[str] = "kbench run --redo RUN trains the run again; its accuracy counts without it"

    attempt: int  # that evaluated the last epoch
    n_samples: int = Field(ge=1)  # of the validation set
    n_hits: int
    bits: str  # in base64, eight samples a byte, the first one its highest bit

    @classmethod
    def of(cls, hits: "NDArray[np.uint8]", *, attempt: int) -> "Hits":
        """Pack hits, (n,): 1 where a sample is right, 0 where it is not."""
        import numpy as np

        packed = base64.b64encode(np.packbits(hits).tobytes()).decode()
        return cls(attempt=attempt, n_samples=len(hits), n_hits=int(hits.sum()), bits=packed)

    @model_validator(mode="after")
    def _whole(self) -> "Hits":
        """Refuse bits that are not as many as samples, or of which not as many are set as were counted."""
        packed = base64.b64decode(self.bits, validate=True)
        if len(packed) != -(-self.n_samples // 8):
            raise ValueError(f"{8 * len(packed)} bits are not those of {self.n_samples} samples")
        if int.from_bytes(packed).bit_count() != self.n_hits or packed[-1] & (0xFF >> (self.n_samples - 1) % 8 + 1):
            raise ValueError(f"the bits are not {self.n_hits} hits of {self.n_samples} samples")
        return self

    def unpacked(self) -> "NDArray[np.uint8]":
        """The hits, (n_samples,): 1 where a sample is right, 0 where it is not."""
        import numpy as np

        packed = np.frombuffer(base64.b64decode(self.bits), dtype=np.uint8)
        return np.unpackbits(packed, count=self.n_samples)
