"""The checks of a model: what every strategy and every rank relies on."""

import copy
import random
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kbench.conformance.checks import Answer, Check
from kbench.conformance.monitor import Finding
from kbench.data.loader import random_streams_restored
from kbench.data.store.prepare import require_dataset
from kbench.errors import ConfigError, KBenchError
from kbench.models.build import build_model, classifier
from kbench.models.registry import problem

N_SAMPLES = 8
ROUNDING = 1e-4  # relative and absolute: what another size of a batch may do to a float32 sum


class Facts(NamedTuple):
    """What is counted of a model."""

    n_parameters: int
    flop: int  # of a forward pass of one sample
    ends_in: str  # in words


class ModelCase:
    """A model under examination, built for the images of a data set.

    Args:
        name: One of ``kbench list models``, or ``package.module:Name``.
        dataset: Whose shape and classes it gets.
        image_size: [pixel] Side of the images; 0: the data set's.

    Raises:
        ConfigError: There is no such model or data set.
    """

    def __init__(self, name: str, dataset: str, *, image_size: int = 0) -> None:
        self.name, self.info = name, require_dataset(dataset)
        unknown = problem(name)
        if unknown:
            raise ConfigError(unknown)
        channels, height, width = self.info.shape
        self.shape = (channels, image_size or height, image_size or width)
        self.n_classes = self.info.n_classes or 10  # a data set that is not prepared does not tell

    def build(self, *, other_streams: int = 0) -> nn.Module:
        """Build it from the same point of torch's stream; numpy's and Python's begin at ``other_streams``."""
        with random_streams_restored():
            torch.default_generator.manual_seed(7)
            np.random.seed(other_streams)
            random.seed(other_streams)
            return build_model(self.name, self.shape, self.n_classes)

    @cached_property
    def model(self) -> nn.Module:
        """The model, built once; raises what building it raises."""
        return self.build()

    @cached_property
    def images(self) -> Tensor:
        """(b, c, h, w) normal numbers."""
        return torch.randn(N_SAMPLES, *self.shape, generator=torch.Generator().manual_seed(0))

    @cached_property
    def labels(self) -> Tensor:
        """(b,) or (b, h, w) int64, all classes in turn."""
        shape = (N_SAMPLES, *self.shape[1:]) if self.info.task == "segmentation" else (N_SAMPLES,)
        return (torch.arange(int(np.prod(shape))) % self.n_classes).view(shape)

    def output(self, model: nn.Module, x: Tensor) -> Tensor:
        """The output in evaluation mode, without a graph."""
        with torch.no_grad(), random_streams_restored():
            found: Tensor = model.eval()(x)
        return found

    def facts(self) -> Facts:
        """Count parameters and operations, and see what it ends in."""
        with FlopCounterMode(display=False) as counter:
            self.output(self.model, self.images[:1])
        n_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        layer = "a linear layer" if _ends_in_classifier(self) else "no linear layer with an output for each class"
        return Facts(n_parameters, int(counter.get_total_flops()), layer)


def builds(case: ModelCase) -> Answer:
    """Check that it is built, and answers."""
    where = f"images of {'x'.join(map(str, case.shape))}, {case.n_classes} classes"
    try:
        output = case.output(case.model, case.images)
    except KBenchError as error:
        return Finding("builds", error.message, where, "build it for (shape, n_classes)")
    except Exception as error:  # a model of somebody's may raise anything
        return Finding("builds", f"its forward pass raised {type(error).__name__}: {error}", where, "take such images")
    wanted = [N_SAMPLES, case.n_classes, *(case.shape[1:] if case.info.task == "segmentation" else ())]
    if not isinstance(output, Tensor) or list(output.shape) != wanted:
        got = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        return Finding("builds", f"it answers {got} where {wanted} are wanted", where, "return logits alone")
    if not output.is_floating_point() or not output.isfinite().all():
        return Finding("builds", "its logits are not finite numbers", where, "return finite logits")
    return None


def seeds(case: ModelCase) -> Answer:
    """Check that its weights come from torch's global stream alone."""
    if not _is_built(case):
        return "it is not built"
    again = case.build(other_streams=1).state_dict()
    different = [name for name, value in case.build().state_dict().items() if not torch.equal(value, again[name])]
    do = "draw weights with torch's functions, without a generator or a seed of its own"
    return (
        Finding("seeds", f"two builds from one seed differ in {_some(different)}", "its weights", do)
        if different
        else None
    )


def gradients(case: ModelCase) -> Answer:
    """Check that every parameter is trained."""
    if not _is_built(case):
        return "it is not built"
    model = case.build().train()
    with random_streams_restored():
        nn.functional.cross_entropy(model(case.images), case.labels).backward()  # type: ignore[no-untyped-call]
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    idle = [name for name, value in trained if value.grad is None]
    if not trained:
        return Finding("gradients", "nothing in it can be trained", "its parameters", "leave requires_grad on")
    if idle:
        do = "use them in forward, or requires_grad_(False); several ranks would wait for them"
        return Finding("gradients", f"no gradient reaches {_some(idle)}", "its parameters", do)
    wild = [name for name, value in trained if value.grad is not None and not value.grad.isfinite().all()]
    return (
        Finding("gradients", f"gradients of {_some(wild)} are not finite", "a first step", "keep them finite")
        if wild
        else None
    )


def evaluation(case: ModelCase) -> Answer:
    """Check that in evaluation mode a sample's answer depends on nothing but the sample."""
    if not _is_built(case):
        return "it is not built"
    model = case.build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = case.output(model, case.images)
    torch.rand(1)
    second = case.output(model, case.images)
    where = "evaluation mode"
    if not torch.equal(first, second):
        return Finding(
            "evaluation", "the same images are answered differently", where, "draw nothing unless self.training"
        )
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    if moved:
        return Finding("evaluation", f"it changes {_some(moved)}", where, "change nothing unless self.training")
    single = torch.cat([case.output(model, image[None]) for image in case.images])
    if not torch.allclose(single, first, rtol=ROUNDING, atol=ROUNDING):
        what = f"a sample is answered differently alone, by up to {float((single - first).abs().max()):.3g}"
        return Finding("evaluation", what, where, "let no sample see others of its batch unless self.training")
    return None


def checkpoints(case: ModelCase) -> Answer:
    """Check that its state is all that it is."""
    if not _is_built(case):
        return "it is not built"
    model = case.build().train()
    with torch.no_grad(), random_streams_restored():
        model(case.images)
    try:
        copied = copy.deepcopy(model)
        fresh = case.build()
        fresh.load_state_dict(model.state_dict())
    except Exception as error:
        do = "hold tensors as parameters and buffers"
        return Finding("checkpoints", f"{type(error).__name__}: {error}", "state_dict, deepcopy", do)
    expected = case.output(model, case.images)
    for what, other in (("loaded from its state_dict", fresh), ("copied", copied)):
        if not torch.equal(case.output(other, case.images), expected):
            do = "register what it remembers as parameters or buffers"
            return Finding("checkpoints", f"a model {what} answers differently", "evaluation mode", do)
    return None


def last_layer(case: ModelCase) -> Answer:
    """See whether strategies that ask for the last layer's input can be used with it."""
    if not _is_built(case):
        return "it is not built"
    if _ends_in_classifier(case):
        return None
    return "it ends otherwise; strategies that ask for that layer's input (gradmatch, craig) cannot be used with it"


def _is_built(case: ModelCase) -> bool:
    return builds(case) is None


def _ends_in_classifier(case: ModelCase) -> bool:
    """Whether what it answers is the output of a linear layer with an output for each class."""
    layer = classifier(case.model, case.n_classes)
    if layer is None:
        return False
    held: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: held.append(output))
    try:
        answer = case.output(case.model, case.images)
    finally:
        handle.remove()
    return len(held) == 1 and held[0].shape == answer.shape and torch.equal(held[0], answer)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


CHECKS = (
    Check("builds", "is built, and answers finite logits of the right shape", builds),
    Check("seeds", "has weights from torch's global random stream alone", seeds),
    Check("gradients", "has gradients for all that is to be trained", gradients),
    Check("evaluation", "answers a sample in evaluation mode whatever else is in the batch", evaluation),
    Check("checkpoints", "is whole in its state_dict, and can be copied", checkpoints),
    Check("last-layer", "ends in a linear layer with an output for each class", last_layer),
)
