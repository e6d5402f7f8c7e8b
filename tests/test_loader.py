import numpy as np
import pytest
import torch

from anrl import DataError, _anrl
from anrl.data import Domain, DomainLoader, Transform, evaluation_batches, pack, read_list
from images import write_domain


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    result = []
    for k, subjects in enumerate((3, 5)):
        file = write_domain(folder / f"data{k}", subjects=subjects, seed=k)
        pack(folder / f"{k}.lmdb", read_list(file), root=file.parent)
        result.append(Domain.open(folder / f"{k}.lmdb"))
    return result


TRANSFORM = Transform(image_size=16, jitter=0.5)


def test_every_batch_is_half_bona_fide_in_every_domain(domains):
    loader = DomainLoader(domains, 4, TRANSFORM)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader) == 5
    for batch in batches:
        assert batch.image.shape == (4, 2, 6, 16, 16) and batch.depth.shape == (4, 2, 2, 2)
        assert batch.label.tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]
        assert (batch.depth[2:] == 0).all() and (batch.depth[:2] > 0).any()
    seen = torch.cat([b.index for b in batches])
    assert sorted(seen[:, 1].tolist()) == list(range(20))
    assert set(seen[:, 0].tolist()) == set(range(12))


def test_images_are_the_transforms(domains):
    plain = Transform(image_size=16, flip=0.0, jitter=0.0)
    batch = next(DomainLoader(domains, 2, plain).epoch(3))
    for k, domain in enumerate(domains):
        store = _anrl.Pack(str(domain.path))
        for b in range(2):
            record = domain.records[int(batch.index[b, k])]
            image, depth = plain(
                store.get(record.path), record.depth and store.get(record.depth), label=record.label
            )
            torch.testing.assert_close(batch.image[b, k], image, rtol=0, atol=0)
            torch.testing.assert_close(batch.depth[b, k], depth, rtol=0, atol=0)


def test_batches_do_not_depend_on_threads_or_start(domains):
    loader = DomainLoader(domains, 4, TRANSFORM, seed=5)
    expected = list(loader.epoch(2))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = list(loader.epoch(2, start=2))
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(expected[2:], again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_epochs_and_seeds_differ(domains):
    first = [
        next(DomainLoader(domains, 4, TRANSFORM, seed=s).epoch(e)).image for s, e in [(0, 0), (0, 1), (1, 0)]
    ]
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_augmentations_come_with_their_probability(domains):
    flip = Transform(image_size=16, flip=0.3, jitter=0.0)
    plain = Transform(image_size=16, flip=0.0, jitter=0.0)
    flipped = total = 0
    for epoch in range(40):
        for a, b in zip(
            DomainLoader(domains, 4, flip).epoch(epoch),
            DomainLoader(domains, 4, plain).epoch(epoch),
            strict=True,
        ):
            same = (a.image == b.image).flatten(2).all(2)
            mirrored = (a.image == b.image.flip(-1)).flatten(2).all(2)
            assert (same | mirrored).all()
            flipped, total = flipped + int((~same).sum()), total + same.numel()
    assert abs(flipped / total - 0.3) < 4 * np.sqrt(0.21 / total)


def test_evaluation_sees_every_sample_once_in_order(domains):
    batches = list(evaluation_batches(domains[1], 6, TRANSFORM))
    assert torch.cat([b.index for b in batches])[:, 0].tolist() == list(range(20))
    assert torch.cat([b.label for b in batches])[:, 0].tolist() == domains[1].labels.tolist()


def test_a_damaged_sample_is_named(domains, tmp_path):
    record = domains[0].records[4]
    writer = tmp_path / "broken"
    writer.mkdir()
    store, broken = _anrl.Pack(str(domains[0].path)), _anrl.PackWriter(str(writer), 1 << 24)
    for key, _ in store.keys():
        content = store.get(key)
        broken.put(key, content[:-40] if key == record.path else content)
    broken.put("__anrl__/index", store.get("__anrl__/index"))
    broken.finish()
    with pytest.raises(DataError, match=f"broken: key '{record.path}': not a whole JPEG"):
        list(evaluation_batches(Domain.open(writer), 3, TRANSFORM))


def test_odd_batches_are_refused(domains):
    with pytest.raises(ValueError, match="even"):
        DomainLoader(domains, 3, TRANSFORM)


def test_abandoned_epochs_leave_no_thread_behind(domains):
    import threading

    before = threading.active_count()
    iterator = DomainLoader(domains, 2, TRANSFORM).epoch(0)
    next(iterator)
    iterator.close()
    assert threading.active_count() == before


def test_loading_works_in_a_forked_child(domains):
    import multiprocessing
    import warnings

    list(DomainLoader(domains, 4, TRANSFORM).epoch(0))  # starts the pool of this process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.apply_async(_first_label, (domains,)).get(60)
    assert found == [0, 0]


def _first_label(domains):
    torch.set_num_threads(1)
    return next(DomainLoader(domains, 4, TRANSFORM).epoch(0)).label[0].tolist()
