"""Controls: noise in place of auxiliary labels, and the plain sum under another name."""

from __future__ import annotations

import pytest
import torch

from auxbench.errors import UsageError
from auxbench.spec.method import Method
from tests.contract._parts import training, weights_of


def test_the_copy_ties_with_the_plain_sum_to_the_last_bit() -> None:
    one, other = training("hps", steps=6), training("sum-copy", steps=6)
    one.run()
    other.run()
    before = training("sum-copy").learner.balancers[0].rng.get_state()
    assert not torch.equal(other.learner.balancers[0].rng.get_state(), before)
    for name, value in weights_of(one.learner.architecture).items():
        assert torch.equal(weights_of(other.learner.architecture)[name], value), name
    assert [look["scores"] for look in one.curve] == [look["scores"] for look in other.curve]


def test_noise_hands_every_auxiliary_label_to_another_sample() -> None:
    run = training("noise-aux")
    plain = next(training("hps").batches["train"]["train"])
    for _ in range(5):
        noisy = run.prepare(plain)
        assert torch.equal(noisy.inputs, plain.inputs)
        assert torch.equal(noisy.targets["segmentation"], plain.targets["segmentation"])
        for sample in range(len(plain)):
            depth = noisy.targets["depth"][sample]
            own = [torch.equal(depth, other) for other in plain.targets["depth"]]
            assert any(own)
            assert not own[sample]


@pytest.mark.parametrize("method", ["noise-aux", "auxnas+noise-aux+pcgrad"])
def test_noise_reaches_every_training_batch_and_no_validation(method: str) -> None:
    noisy, plain = training(method), training(method.replace("noise-aux", "sum"))
    noisy.run()
    plain.run()
    heads = [run.learner.architecture.state_dict() for run in (noisy, plain)]
    assert any(not torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    for run in (noisy, plain):
        targets = run.validation.batch(torch.arange(2).numpy(), None).targets
        run.checked = targets["depth"]
    assert torch.equal(noisy.checked, plain.checked)


def test_noise_needs_two_samples() -> None:
    run = training("noise-aux")
    batch = next(run.batches["train"]["train"])
    alone = type(batch)(batch.inputs[:1], {k: v[:1] for k, v in batch.targets.items()})
    with pytest.raises(UsageError, match="use --batch 2"):
        run.prepare(alone)


def test_the_single_task_network_without_held_out_samples_sees_what_learning_on_them_leaves() -> (
    None
):
    control, other = training("single:holdout=yes"), training("autolambda")
    (ours,), theirs = control.batches["train"].values(), other.batches["train"]["train"]
    for _ in range(10):
        assert torch.equal(next(ours).inputs, next(theirs).inputs)
    control.run()
    plain = training("single", steps=3)
    plain.run()
    trained = [weights_of(run.learner.architecture) for run in (control, plain)]
    assert trained[0].keys() == trained[1].keys()
    assert any(not torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    assert control.meter.summary()["forward"] == plain.meter.summary()["forward"]


def test_the_control_without_held_out_samples_is_a_method_of_its_own() -> None:
    assert str(Method.parse("single:holdout=yes")) == "single:holdout=yes"
    assert str(Method.parse("single:holdout=no")) == "single"
