"""Loss values on masks small enough to work out by hand."""

import math

import pytest
import torch

from everymask.train.losses import (
    LossWeights,
    best_of_three,
    disobedience,
    edge_loss,
    mask_loss,
    same_region_loss,
    true_iou,
)

WEIGHTS = LossWeights()


def test_undecided_logits_cost_half_the_cross_entropy():
    truth = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    only_focal = LossWeights(focal=1.0, dice=0.0)
    assert mask_loss(torch.zeros(1, 2, 2), truth, only_focal).item() == pytest.approx(0.5 * math.log(2))


def test_dice_of_undecided_logits():
    truth = torch.ones(1, 2, 2)
    only_dice = LossWeights(focal=0.0, dice=1.0)
    assert mask_loss(torch.zeros(1, 2, 2), truth, only_dice).item() == pytest.approx(1 - 5 / 7)


def test_a_perfect_mask_costs_nothing():
    truth = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    assert mask_loss(60 * truth - 30, truth, WEIGHTS).item() == pytest.approx(0, abs=1e-5)


def test_misses_and_false_alarms_weigh_the_same():
    truth = torch.tensor([[[1.0, 0.0]]])
    only_focal = LossWeights(focal=1.0, dice=0.0)
    missed = mask_loss(torch.tensor([[[-3.0, -30.0]]]), truth, only_focal)
    invented = mask_loss(torch.tensor([[[30.0, 3.0]]]), truth, only_focal)
    assert missed.item() == pytest.approx(invented.item())


def test_true_iou_counts_thresholded_pixels():
    logits = torch.tensor([[[1.0, 1.0, -1.0]]])
    truth = torch.tensor([[[0.9, 0.2, 0.8]]])
    assert true_iou(logits, truth).item() == pytest.approx(1 / 3)


def test_true_iou_of_nothing_is_zero():
    assert true_iou(-torch.ones(1, 2, 2), torch.zeros(1, 2, 2)).item() == 0


def test_each_truth_takes_its_own_best_mask():
    small, large = torch.zeros(4, 4), torch.ones(4, 4)
    small[0, 0] = 1
    truths = torch.stack([small, large, torch.zeros(4, 4)])[None]
    logits = 60 * torch.stack([large, small, 1 - large])[None] - 30
    share = torch.tensor([[1.0, 0.5, 0.0]])
    assert best_of_three(logits, truths, share, WEIGHTS).item() == pytest.approx(0, abs=1e-4)


def test_unused_truths_do_not_count():
    truths = torch.stack([torch.ones(4, 4), torch.zeros(4, 4)])[None]
    logits = torch.full((1, 3, 4, 4), 30.0)
    assert best_of_three(logits, truths, torch.tensor([[1.0, 0.0]]), WEIGHTS).item() == pytest.approx(
        0, abs=1e-4
    )


def test_like_embeddings_for_like_labels_cost_less():
    labels = torch.tensor([[[0, 0, 1, 1]] * 3])
    apart = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    scale, bias = torch.tensor(8.0), torch.tensor(-4.0)
    good = same_region_loss(apart, labels, scale, bias)
    bad = same_region_loss(apart[:, [0, 2, 1, 3]], labels, scale, bias)
    assert good < 0.1 < bad


def test_edges_in_the_right_place_cost_less():
    edges = torch.zeros(1, 6, 6)
    edges[:, :, 3] = 1
    assert edge_loss(20 * edges - 10, edges) < edge_loss(-20 * edges + 10, edges)


def test_edges_that_are_not_known_do_not_count():
    edges = torch.zeros(2, 6, 6)
    edges[:, :, 3] = 1
    right, wrong = 20 * edges - 10, -20 * edges + 10
    half = edge_loss(torch.stack([right[0], wrong[0]]), edges, torch.tensor([True, False]))
    assert half.item() == pytest.approx(edge_loss(right[:1], edges[:1]).item())


def test_pairs_of_unlabelled_pixels_do_not_count():
    labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]])
    unlike_unknown = torch.tensor([[[1.0, 0.0], [0.8, -0.6], [0.0, 1.0], [0.0, 1.0]]])
    scale, bias = torch.tensor(20.0), torch.tensor(-10.0)
    assert same_region_loss(unlike_unknown, labels, scale, bias) < 0.01


def test_clicks_that_are_obeyed_cost_nothing_and_others_as_much_as_they_are_missed():
    logits = torch.full((1, 1, 4, 4), -30.0)
    logits[..., :2] = 30.0
    points = torch.tensor([[[2.0, 2.0], [13.0, 13.0]]])
    assert disobedience(logits, points, torch.tensor([[1, 0]])).item() == pytest.approx(0, abs=1e-6)
    assert disobedience(logits, points, torch.tensor([[0, 0]])).item() == pytest.approx(15.5, abs=0.01)
    assert disobedience(logits, points, torch.tensor([[0, -1]])).item() == pytest.approx(31, abs=0.01)
