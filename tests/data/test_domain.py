"""Single samples of a domain, decoded images, and parts of a domain."""

import pickle

import numpy as np
import pytest
from PIL import Image

from anrl.data import DecodedSample, Domain, decode_image
from anrl.errors import DataError
from support.images import encode, photograph


@pytest.fixture(scope="module")
def domain(packs):
    return Domain.open(packs[0])


def test_decoded_pixels_are_those_of_the_file(tmp_path):
    pixels = photograph(9, 14)
    (tmp_path / "image.png").write_bytes(encode(pixels))
    for content in (encode(pixels), tmp_path / "image.png", str(tmp_path / "image.png")):
        image = decode_image(content)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, pixels)


def test_decoded_gray_images_have_one_channel():
    pixels = photograph(9, 14, channels=1)
    np.testing.assert_array_equal(decode_image(encode(pixels), gray=True), pixels)
    np.testing.assert_array_equal(decode_image(encode(pixels)), pixels.repeat(3, 2))


def test_decoded_images_are_upright():
    pixels = photograph(8, 16)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    np.testing.assert_array_equal(decode_image(encode(pixels, exif=exif)), np.rot90(pixels, -1))


def test_images_that_cannot_be_decoded_are_named(tmp_path):
    (tmp_path / "damaged.png").write_bytes(encode(photograph(8, 8))[:-20])
    for name in ("damaged.png", "missing.png"):
        with pytest.raises(DataError, match=name) as raised:
            decode_image(tmp_path / name)
        assert raised.value.path == str(tmp_path / name)
    with pytest.raises(DataError):
        decode_image(b"no image")


def test_read_gives_what_the_pack_stores(domain):
    for index in range(len(domain)):
        sample = domain.read(index)
        assert isinstance(sample, DecodedSample) and sample.record == domain.records[index]
        np.testing.assert_array_equal(sample.image, domain_image(domain, sample.record.path, gray=False))
        assert (sample.depth is None) == (sample.record.label == 1)
        if sample.depth is not None:
            stored = domain_image(domain, sample.record.depth, gray=True)
            np.testing.assert_array_equal(sample.depth, stored[..., 0])


def domain_image(domain, key, gray):
    """The image under a key, from the file that was packed."""
    folder = domain.path.parent / f"data{domain.path.stem}"
    return decode_image(folder / key, gray)


def test_read_counts_from_the_end_and_refuses_other_positions(domain):
    assert domain.read(-1).record == domain.records[len(domain) - 1]
    with pytest.raises(IndexError):
        domain.read(len(domain))


def test_read_works_on_parts_and_pickled_domains(domain):
    attacks = domain.of_class(1)
    sample = pickle.loads(pickle.dumps(attacks)).read(2)
    assert sample.record == attacks.records[2] and sample.record.label == 1
    np.testing.assert_array_equal(sample.image, attacks.read(2).image)


def test_read_names_the_pack_and_the_key_of_a_missing_image(domain):
    records = domain.records
    changed = records.of([records[0].__class__("absent.png", 0), *records])
    broken = Domain(domain.path, domain.name, changed)
    with pytest.raises(DataError, match="is not in the pack") as raised:
        broken.read(0)
    assert (raised.value.path, raised.value.key) == (str(domain.path), "absent.png")


def test_evenly_spaced_samples_reach_from_the_first_to_the_last(domain):
    part = domain.evenly_spaced(4)
    step = (len(domain) - 1) / 3
    assert list(part.records) == [domain.records[round(i * step)] for i in range(4)]
    assert list(domain.evenly_spaced(10_000).records) == list(domain.records)


def test_shards_cover_the_domain_and_are_equally_long(domain):
    shards = [domain.shard(rank, world_size=5) for rank in range(5)]
    length = -(-len(domain) // 5)
    assert [len(shard) for shard in shards] == [length] * 5
    interleaved = [shards[i % 5].records[i // 5] for i in range(5 * length)]
    assert interleaved == [domain.records[i % len(domain)] for i in range(5 * length)]
