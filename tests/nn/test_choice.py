import torch

from everymask.nn.choice import StabilityFallback, best_by_iou, choose_masks, single_mask_stability
from everymask.nn.records import Decoded

STABLE = torch.tensor([[9.0, 9.0], [-9.0, -9.0]])
SHAKY = torch.tensor([[9.0, 0.01], [-0.01, -9.0]])


def decoded(first, iou=(0.1, 0.5, 0.9, 0.9)):
    """One prompt whose masks 1 to 3 are filled with their own number."""
    others = torch.arange(1, 4.0)[:, None, None].expand(3, 2, 2)
    return Decoded(
        mask_logits=torch.cat([first[None], others])[None],
        iou=torch.tensor([iou]),
        mask_tokens=torch.arange(4.0)[None, :, None],
        object_logit=torch.tensor([[3.0]]),
    )


def test_multimask_hands_on_the_last_three_and_their_tokens():
    chosen = choose_masks(decoded(STABLE), multimask=True)
    assert chosen.mask_logits[0, :, 0, 0].tolist() == [1, 2, 3]
    assert chosen.iou.tolist() == torch.tensor([[0.5, 0.9, 0.9]]).tolist()
    assert chosen.mask_tokens.flatten().tolist() == [1, 2, 3]
    assert chosen.object_logit.item() == 3.0


def test_without_multimask_the_first_mask_is_handed_on():
    chosen = choose_masks(decoded(SHAKY), multimask=False)
    assert torch.equal(chosen.mask_logits[0, 0], SHAKY)
    assert chosen.mask_tokens.flatten().tolist() == [0]


def test_a_stable_single_mask_stays():
    chosen = choose_masks(decoded(STABLE), False, StabilityFallback(0.05, 0.98))
    assert torch.equal(chosen.mask_logits[0, 0], STABLE)


def test_trap_11_an_unstable_single_mask_gives_way_to_the_best_of_the_others():
    chosen = choose_masks(decoded(SHAKY), False, StabilityFallback(0.05, 0.98))
    assert (chosen.mask_logits == 2).all()  # the first of the two that share the highest IoU
    assert chosen.iou.item() == torch.tensor(0.9).item()
    assert chosen.mask_tokens.item() == 0  # the token stays that of the single mask


def test_the_fallback_does_not_touch_multimask_answers():
    chosen = choose_masks(decoded(SHAKY), True, StabilityFallback(0.05, 0.98))
    assert chosen.mask_logits.shape == (1, 3, 2, 2)


def test_each_prompt_falls_back_on_its_own():
    stable, shaky = decoded(STABLE), decoded(SHAKY)
    both = Decoded(
        torch.cat([stable.mask_logits, shaky.mask_logits]),
        torch.cat([stable.iou, shaky.iou]),
        torch.cat([stable.mask_tokens, shaky.mask_tokens]),
    )
    chosen = choose_masks(both, False, StabilityFallback(0.05, 0.98))
    assert torch.equal(chosen.mask_logits[0, 0], STABLE)
    assert (chosen.mask_logits[1] == 2).all()


def test_stability_equal_to_the_threshold_counts_as_stable():
    half = torch.tensor([[9.0, 0.0]])  # one pixel surely in, one undecided
    assert single_mask_stability(half, 0.05).item() == 0.5
    chosen = choose_masks(decoded(half.expand(2, 2)), False, StabilityFallback(0.05, 0.5))
    assert torch.equal(chosen.mask_logits[0, 0], half.expand(2, 2))


def test_an_empty_mask_is_stable():
    assert single_mask_stability(torch.full((3, 2, 2), -5.0), 0.05).tolist() == [1.0, 1.0, 1.0]


def test_stability_counts_values_above_the_bounds_not_on_them():
    on_both_bounds = torch.tensor([[0.5, -0.5, 9.0, 0.0]])
    assert single_mask_stability(on_both_bounds, 0.5).item() == torch.tensor(1 / 3).item()


def test_best_by_iou_takes_the_first_of_equals():
    best = best_by_iou(decoded(STABLE, iou=(0.2, 0.9, 0.9, 0.1)))
    assert best.mask_logits.shape == (1, 1, 2, 2)
    assert best.mask_tokens.item() == 1
