"""MAXL: an auxiliary task whose labels a second network makes up, so as to help the primary.

Every class of the primary has `hierarchy` sub-classes of its own. A label network sees the image
and spreads the probability of a sample's true class over its sub-classes; the network in training
predicts them as an auxiliary task from the shared trunk, with a focal loss. Before every descent
the label network takes a step: the trained network tries one step of gradient descent on both
losses, and the primary's loss after it, on the same batch, is differentiated through that step.
A negative entropy of the mean label, times `entropy`, keeps the labels from collapsing. For maps of
classes all of this is done pixel by pixel. The auxiliary tasks of the problem are not used. Both
losses have weight 1 in the trial step, whatever a balancer makes of them in the descent.

The released code gives the primary the focal loss as well; here it keeps the loss that it has under
every other method, so that methods differ in nothing else. The label network's steps are Adam's
without weight decay; the release has plain SGD at the same rate with a decay of 5e-4, in runs of a
hundred thousand steps.

Known flaws: differentiating through a step costs second derivatives and memory of several passes,
and labels that suit one step of the batch they were made for need not suit the training. Only
tasks of classes can be primary. The released code writes its network twice, once as a function of
its parameters, and takes turns by epochs rather than by batches.

@inproceedings{liu2019maxl,
  author = {Liu, S. and Davison, A. J. and Johns, E.},
  title = {{Self-Supervised Generalisation with Meta Auxiliary Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2019},
  url = {https://arxiv.org/abs/1901.08933},
}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import one_hot

from auxbench import METHODS, Architecture, Batch, Builder, Context, Network, Phase
from auxbench.data.dataset import Task
from auxbench.data.kinds import Kind
from auxbench.data.losses import IGNORE, single
from auxbench.errors import UsageError
from auxbench.spec.marks import Count, Help, NonNegative, Positive, Tune
from auxbench.training.jvp import gradient, plain_attention
from auxbench.training.phase import Scalars

GENERATED = "generated"
TINY = 1e-12


@METHODS.register
class MAXL(Architecture):
    """A shared backbone with a head for the primary and one for the labels that are made up.

    Errors: `UsageError` where the primary's labels are no classes.

    """

    def __init__(
        self,
        builder: Builder,
        *,
        hierarchy: Annotated[
            Count, Help("Sub-classes into which every class of the primary is divided.")
        ] = 5,
        entropy: Annotated[
            NonNegative,
            Tune(0.05, 1, log=True),
            Help(
                "Weight of the negative entropy that keeps the made-up labels from "
                "collapsing into one sub-class."
            ),
        ] = 0.2,
        rate: Annotated[Positive, Help("Learning rate of the label network's Adam.")] = 1e-3,
        focus: Annotated[
            NonNegative,
            Help("Exponent of the focal loss on the made-up labels; 0 is the plain cross-entropy."),
        ] = 2.0,
    ) -> None:
        super().__init__(builder)
        primary = builder.tasks[0]
        if not primary.kind.classes:
            raise UsageError(
                f"method 'maxl' divides the classes of the primary, and '{primary.name}' has none; "
                "name a primary with classes by --primary."
            )
        self.hierarchy, self.entropy, self.rate = hierarchy, entropy, rate
        made = Task(GENERATED, Invented(primary.kind, hierarchy, focus))
        self.trained = (primary, made)
        self.network = builder.network(primary)
        self.head = builder.head(made, self.network.backbone)
        self.labels = builder.network(made)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, size = self.network.backbone(images), tuple(images.shape[-2:])
        return {
            self.primary.name: self.network.predict(features, images),
            GENERATED: self.head(features, size),
        }

    def deploy(self) -> Network:
        return self.network

    def relabel(self, batch: Batch) -> Batch:
        with torch.no_grad():
            return self.labelled(batch)

    def labelled(self, batch: Batch) -> Batch:
        """The batch with labels made up: probabilities [B, classes * hierarchy, ...]."""
        made = spread(self.labels(batch.inputs), batch.targets[self.primary.name], self.hierarchy)
        return Batch(batch.inputs, {**batch.targets, GENERATED: made})

    def phases(self, context: Context) -> list[Phase]:
        return [Labelling(context, self)]


class Invented(Kind):
    """Probabilities of the sub-classes into which the primary's classes are divided.

    The loss is the focal cross-entropy; all zeros are no label.
    """

    def __init__(self, primary: Kind, hierarchy: int, focus: float) -> None:
        super().__init__(primary.classes * hierarchy, metrics=())
        self.dense, self.focus = primary.dense, focus

    def loss(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        scores = single(prediction).log_softmax(dim=1)
        losses = -(target * (1 - scores.exp()) ** self.focus * scores)
        valid = target.detach().sum(dim=1, keepdim=True) > 0.5
        return losses.flatten(1).sum(dim=1), valid.to(losses).flatten(1).sum(dim=1)


class Labelling(Phase):
    """One step of the label network, by what its labels would do to the primary in one step."""

    def __init__(self, context: Context, architecture: MAXL) -> None:
        self.name = "labelling"
        self.splits = (architecture.split,)
        self.context = context
        self.objective = context.objective
        self.architecture = architecture
        self.learned = list(architecture.labels.parameters())
        own = {id(parameter) for parameter in self.learned}
        named = architecture.named_parameters()
        self.trained = {name: part for name, part in named if id(part) not in own}
        self.optimizer = torch.optim.Adam(self.learned, architecture.rate)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.learned

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        with plain_attention():
            value, order = self.outcome(batches[self.architecture.split])
            total = value + self.architecture.entropy * order
            found = torch.autograd.grad(total, self.learned)
        # When the batch was drawn it was labelled, and again to be differentiated; the gradient
        # goes back through the primary's loss and through the trial step.
        self.objective.meter.forward(0)
        self.objective.meter.forward(0)
        self.objective.meter.backward(2)
        for parameter, part in zip(self.learned, found, strict=True):
            parameter.grad = part
        self.optimizer.step()
        return {"labels/entropy": -order.item()}

    def outcome(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The primary's loss after a trial step, and the negative entropy of the mean label."""
        rate = self.context.learning_rate
        batch = self.architecture.labelled(batch)
        losses = [loss.mean() for loss in self.objective.samples(batch, self.trained)]
        slope = gradient(losses[0] + losses[1], self.trained, again=True)
        self.objective.meter.backward()
        trial = {
            name: value - rate * slope[name] if name in slope else value
            for name, value in self.trained.items()
        }
        value = self.objective.samples(batch, trial)[0].mean()
        return value, negative_entropy(batch.targets[GENERATED])

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))


def spread(scores: Tensor, classes: Tensor, hierarchy: int) -> Tensor:
    """Probabilities of the sub-classes of the true classes, [B, C * hierarchy, ...].

    Those of all other classes are 0, and so are all where there is no label.

    >>> spread(torch.zeros(1, 4), torch.tensor([1]), 2).tolist()
    [[0.0, 0.0, 0.5, 0.5]]
    """
    count = scores.shape[1] // hierarchy
    shares = single(scores).reshape(len(scores), count, hierarchy, *scores.shape[2:]).softmax(2)
    known = one_hot(classes.long().clamp(min=0), count).movedim(-1, 1)
    known = known * (classes != IGNORE).unsqueeze(1)
    labels: Tensor = (shares * known.unsqueeze(2)).flatten(1, 2)
    return labels


def negative_entropy(labels: Tensor) -> Tensor:
    """The negative entropy, in nats, of the mean of labels [B, K, ...].

    >>> negative_entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item()
    -0.6931471824645996
    """
    mean = labels.transpose(0, 1).flatten(1).sum(dim=1)
    mean = mean / mean.sum().clamp(min=1)
    # Classes that the batch lacks have no labels at all; the slope at 0 must stay finite.
    result: Tensor = (mean * mean.clamp(min=TINY).log()).sum()
    return result
