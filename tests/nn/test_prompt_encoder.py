import pytest
import torch

from everymask.nn.prompt_encoder import PromptEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return PromptEncoder(dim=16, embedding_hw=(4, 4), image_size=64).eval().requires_grad_(False)


def test_a_padding_point_is_its_embedding_wherever_it_lies(encoder):
    sparse = encoder(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[-1]])).sparse
    torch.testing.assert_close(sparse[0], encoder.not_a_point_embed.weight)


@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_a_point_is_its_place_plus_its_kind(encoder, label):
    sparse = encoder(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[label]])).sparse
    place = encoder.pe_layer(torch.tensor([3.5, 4.5]) / 64)
    torch.testing.assert_close(sparse[0, 0], place + encoder.point_embeddings[label].weight[0])


def test_points_in_float64_are_rounded_only_after_scaling(encoder):
    fine = torch.tensor([[[1e-9 + 31.5, 0.0]]], dtype=torch.float64)
    sparse = encoder(fine, torch.tensor([[1]])).sparse
    assert sparse.dtype == torch.float32


def test_without_points_there_are_no_sparse_embeddings(encoder):
    prompts = encoder(masks=torch.zeros(3, 1, 16, 16))
    assert prompts.sparse.shape == (3, 0, 16)
    assert prompts.dense.shape == (3, 16, 4, 4)
    assert encoder().sparse.shape == (1, 0, 16)


def test_without_a_mask_the_dense_embedding_is_left_out(encoder):
    assert encoder(torch.zeros(2, 1, 2), torch.ones(2, 1)).dense is None
    assert encoder.no_mask().shape == (1, 16, 1, 1)


def test_mask_size_is_four_times_the_grid(encoder):
    assert encoder.mask_hw == (16, 16)


def test_positions_of_a_bfloat16_model_are_computed_in_float32(encoder):
    points, labels = torch.tensor([[[1000.0, 1001.0]]]), torch.tensor([[-1]])
    exact = encoder.pe_layer(points / 1024)
    encoder.bfloat16().pe_layer.float()
    assert torch.allclose(encoder.pe_layer(points / 1024), exact, atol=0.1)  # the matrix itself was rounded
    assert encoder(points, labels).sparse.dtype == torch.bfloat16
