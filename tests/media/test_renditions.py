"""Renditions of a photo: pure functions, told apart by name, chosen by what is hard about a photo."""

import numpy as np
import pytest

from everymask.errors import OptionError
from everymask.media.renditions import (
    PLAIN,
    RENDITIONS,
    checked_names,
    chosen,
    noise_of,
    rendered,
    traits_of,
)

SIZES = [(60, 90), (1, 1), (3, 200), (9, 9)]


def scene(height=120, width=160, seed=0):
    """A photo of coloured discs on a smooth ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    photo = np.stack([80 + 0.5 * x, 120 - 0.3 * y, 90 + 0 * x], axis=-1)
    for _ in range(8):
        inside = (x - rng.integers(width)) ** 2 + (y - rng.integers(height)) ** 2 < rng.integers(10, 30) ** 2
        photo[inside] = rng.integers(0, 255, 3)
    return photo.clip(0, 255).astype(np.uint8)


def grey(photo):
    return np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def noisy(photo, spread=20):
    noise = np.random.default_rng(0).normal(0, spread, photo.shape)
    return (photo + noise).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", RENDITIONS)
@pytest.mark.parametrize("size", SIZES)
def test_a_rendition_is_a_photo_of_the_same_size_and_leaves_the_photo_alone(name, size):
    photo = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    before = photo.copy()
    found = rendered(photo, name)
    assert (found.shape, found.dtype) == (photo.shape, np.uint8)
    assert found.flags.c_contiguous
    assert np.array_equal(photo, before)
    assert np.array_equal(found, rendered(photo, name))


@pytest.mark.parametrize("name", sorted(set(RENDITIONS) - {PLAIN}))
def test_a_rendition_differs_from_the_photo(name):
    photo = noisy(scene())
    assert np.array_equal(rendered(photo, PLAIN), photo)
    assert np.abs(rendered(photo, name).astype(int) - photo).mean() > 2


def test_inverting_twice_gives_the_photo_back():
    photo = scene()
    assert np.array_equal(rendered(rendered(photo, "inverted"), "inverted"), photo)


def test_denoised_has_less_noise():
    photo = noisy(scene())
    assert noise_of(rendered(photo, "denoised")) < 0.5 * noise_of(photo)


@pytest.mark.parametrize("spread", [5, 12, 25])
def test_noise_is_measured(spread):
    # Lightness is a mean of three channels, weighted .299, .587, .114: its noise is .668 of theirs.
    assert noise_of(noisy(scene(), spread)) == pytest.approx(0.668 * spread, rel=0.15)


def test_traits_tell_colour_from_grey_and_flat_from_full_contrast():
    photo = scene()
    traits, without, flat = (traits_of(each) for each in (photo, grey(photo), photo // 4))
    assert without.colour == 0 < traits.colour
    assert flat.contrast == pytest.approx(traits.contrast / 4, abs=2)


def test_auto_leaves_an_easy_photo_as_it_is_and_looks_again_at_a_hard_one():
    photo = scene()
    assert chosen(photo) == (PLAIN,)
    assert chosen(grey(photo)) == (PLAIN, "inverted")
    assert chosen(photo // 8 + 100) == (PLAIN, "normalised", "inverted")
    assert "denoised" in chosen(noisy(photo, 25))
    assert "denoised" not in chosen(grey(photo))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sharp", r"renditions must be some of plain, .*, joined by \+, or auto alone; got 'sharp'"),
        ("plain+auto", "got 'auto'"),
        ("", "got ''"),
        ([], "got nothing"),
        (["plain", 3], "got 3"),
        (None, "got None"),
    ],
)
def test_unknown_names_are_refused(given, said):
    with pytest.raises(OptionError, match=said):
        checked_names(given)


def test_names_are_joined_once_each():
    assert checked_names("inverted, plain,inverted") == "inverted+plain"
