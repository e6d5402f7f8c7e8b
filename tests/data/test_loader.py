from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anrl import _anrl
from anrl.data import Domain, DomainLoader, LmdbDataset, Transform, evaluation_batches, pack, read_list
from anrl.errors import DataError
from support.images import write_domain


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    result = []
    for k, subjects in enumerate((3, 5)):
        file = write_domain(folder / f"data{k}", subjects=subjects, seed=k)
        pack(folder / f"{k}.lmdb", read_list(file), root=file.parent)
        result.append(Domain.open(folder / f"{k}.lmdb"))
    return result


TRANSFORM = Transform(image_size=16, jitter_prob=0.5)


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
    plain = Transform(image_size=16, flip_prob=0.0, jitter_prob=0.0)
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


def assert_same(a, b):
    assert all(torch.equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


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
        assert_same(a, b)


def test_epochs_and_seeds_differ(domains):
    first = [
        next(DomainLoader(domains, 4, TRANSFORM, seed=s).epoch(e)).image for s, e in [(0, 0), (0, 1), (1, 0)]
    ]
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_augmentations_come_with_their_probability(domains):
    flip = Transform(image_size=16, flip_prob=0.3, jitter_prob=0.0)
    plain = Transform(image_size=16, flip_prob=0.0, jitter_prob=0.0)
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


@pytest.mark.parametrize("balanced", [True, False])
def test_a_sample_that_is_drawn_again_gets_its_own_augmentation(domains, tmp_path, balanced):
    few = domains[0].select(lambda r: r.subject == "s0")
    transform = Transform(image_size=16, flip_prob=0.5, jitter_prob=1.0)
    loader = DomainLoader([few, domains[1]], 4, transform, balanced=balanced)
    batches = list(loader.epoch(0))
    images = [image for b in batches for image, i in zip(b.image[:, 0], b.index[:, 0], strict=True) if i == 0]
    assert len(images) >= 5
    assert all(not torch.equal(a, b) for n, a in enumerate(images) for b in images[:n])
    again = [image for b in loader.epoch(0) for image in b.image[:, 0][b.index[:, 0] == 0]]
    assert all(map(torch.equal, images, again))
    # The first draw is that of a sample that is drawn once, and ranks share the draws.
    ranks = [
        DomainLoader([few, domains[1]], 4, transform, balanced=balanced, rank=r, world_size=2) for r in (0, 1)
    ]
    shared = [image for r in ranks for b in r.epoch(0) for image in b.image[:, 0][b.index[:, 0] == 0]]
    if balanced:
        assert all(not torch.equal(a, b) for n, a in enumerate(shared) for b in shared[:n])


def test_evaluation_sees_every_sample_once_in_order(domains):
    batches = list(evaluation_batches(domains[1], 6, TRANSFORM))
    assert [len(b.label) for b in batches] == [6, 6, 6, 2]
    assert torch.cat([b.label for b in batches]).tolist() == domains[1].labels.tolist()
    store = _anrl.Pack(str(domains[1].path))
    for record, image in zip(domains[1].records, torch.cat([b.image for b in batches]), strict=True):
        assert torch.equal(image, TRANSFORM(store.get(record.path))[0])


def test_a_damaged_sample_is_named(domains, tmp_path):
    record = domains[0].records[4]
    broken = break_samples(domains[0], tmp_path / "broken", {record.path})
    with pytest.raises(DataError, match=f"broken: key '{record.path}': not a whole JPEG"):
        list(evaluation_batches(broken, 3, TRANSFORM))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 3}, "even"),
        ({"batch_size": 0}, "positive"),
        ({"rank": 2, "world_size": 2}, "rank must be from 0 to world_size - 1 = 1"),
        ({"num_threads": 0}, "num_threads"),
        ({"num_threads": 10**9}, "num_threads must be from 1 to 1024"),
        ({"prefetch": -1}, "prefetch"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_bad_arguments_are_named(domains, options, message):
    with pytest.raises(ValueError, match=message):
        DomainLoader(domains, transform=TRANSFORM, **{"batch_size": 2} | options)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("stop", [0, 2])
def test_a_loader_goes_on_where_another_stood(domains, balanced, stop):
    def loader(threads):
        return DomainLoader(domains, 4, TRANSFORM, seed=3, balanced=balanced, num_threads=threads)

    whole = loader(2)
    expected = [batch for _ in range(2) for batch in whole]
    assert len(expected) == 2 * len(whole) and not torch.equal(expected[0].image, expected[5].image)
    first, found = loader(1), []
    assert first.state_dict()["step"] == 0
    for batch in first:
        found.append(batch)
        if len(found) == stop + 1:
            break
    second = loader(2)
    second.load_state_dict(first.state_dict())
    found += [batch for _ in range(2) for batch in second]
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)
    third = loader(1)
    third.set_epoch(1)
    assert_same(next(iter(third)), expected[len(whole)])
    with pytest.raises(ValueError, match="seed 3, not 4"):
        DomainLoader(domains, 4, TRANSFORM, seed=4, balanced=balanced).load_state_dict(first.state_dict())


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_unbalanced_order_is_that_of_torchs_distributed_sampler(domains, world_size, drop_last):
    for rank in range(world_size):
        sampler = torch.utils.data.DistributedSampler(
            range(20), world_size, rank, shuffle=True, seed=7, drop_last=drop_last
        )
        sampler.set_epoch(2)
        options = {"rank": rank, "world_size": world_size, "drop_last": drop_last}
        loader = DomainLoader(domains, 3, TRANSFORM, seed=7, balanced=False, **options)
        wanted = [i for i in sampler]
        if drop_last:
            wanted = wanted[: len(wanted) // 3 * 3]
        batches = list(loader.epoch(2))
        assert len(batches) == len(loader)
        index = torch.cat([batch.index for batch in batches])
        assert index[:, 1].tolist() == wanted and index[:, 0].tolist() == [i % 12 for i in wanted]


def test_ranks_share_the_batches_of_one_process(domains):
    one = list(DomainLoader(domains, 8, TRANSFORM, seed=1))
    two = [list(DomainLoader(domains, 4, TRANSFORM, seed=1, rank=r, world_size=2)) for r in (0, 1)]
    for whole, *parts in zip(one, *two, strict=True):
        images = {tuple(i.tolist()): image for i, image in zip(whole.index, whole.image, strict=True)}
        joined = [(i, image) for p in parts for i, image in zip(p.index, p.image, strict=True)]
        assert len(joined) == 8
        for index, image in joined:
            assert torch.equal(images[tuple(index.tolist())], image)


def test_domain_major_batches_and_keys(domains):
    plain = next(iter(DomainLoader(domains, 4, TRANSFORM)))
    batch = next(iter(DomainLoader(domains, 4, TRANSFORM, domain_major=True, keys=True)))
    for a, b in zip(plain[:4], batch[:4], strict=True):
        assert torch.equal(a, b.transpose(0, 1))
    for one, other in zip(plain.to("cpu").domains(), batch.to("cpu").domains(), strict=True):
        assert all(map(torch.equal, one[:3], other[:3]))
    for k, part in enumerate(plain.domains()):
        assert torch.equal(part.image, plain.image[:, k]) and torch.equal(part.depth, plain.depth[:, k])
        assert part.label.tolist() == plain.label[:, k].tolist()
        assert part.image.data_ptr() == plain.image[:, k].data_ptr()
    assert plain.keys is None
    assert batch.keys == [
        [d.records[i].path for d, i in zip(domains, row, strict=True)] for row in plain.index.tolist()
    ]


def test_bona_fide_samples_without_depth_map_are_marked(domains, tmp_path):
    file = write_domain(tmp_path / "data", subjects=3)
    records = read_list(file)
    records = [replace(r, depth=None) if r.subject == "s1" else r for r in records]
    pack(tmp_path / "some", records, root=file.parent)
    some = Domain.open(tmp_path / "some")
    for options in ({}, {"domain_major": True}):
        for batch in DomainLoader([domains[0], some], 4, TRANSFORM, keys=True, **options).epoch(0):
            for k, part in enumerate(batch.to("cpu").domains()):
                drawn = [some.records[i] for i in batch.index.select(batch.domain_dim, k).tolist()]
                expected = [r.subject != "s1" or r.label == 1 for r in drawn] if k else [True] * 4
                assert batch.has_depth is None or part.has_depth.tolist() == expected
                assert batch.has_depth is not None or all(expected)
    assert next(DomainLoader([domains[0]], 4, TRANSFORM).epoch(0)).has_depth is None


def test_eight_bit_batches_are_the_same_after_normalizing(domains):
    for mean, std in [(0.5, 0.5), (0.449, 0.226)]:
        wide = Transform(image_size=16, mean=mean, std=std)
        narrow = Transform(image_size=16, mean=mean, std=std, output="uint8")
        for a, b in zip(DomainLoader(domains, 4, wide), DomainLoader(domains, 4, narrow), strict=True):
            assert b.image.dtype == torch.uint8
            assert torch.equal(narrow.normalize(b.image), a.image)
    with pytest.raises(ValueError, match="output must be"):
        Transform(output="float16")


@pytest.mark.parametrize("output", ["float32", "uint8"])
def test_memory_is_used_again_only_when_nobody_holds_it(domains, output):
    loader = DomainLoader(domains, 4, Transform(image_size=16, output=output))
    held = [batch.image[0, 0] for _ in range(4) for batch in loader]
    copies = [image.clone() for image in held]
    places = {batch.image.data_ptr() for _ in range(8) for batch in loader}
    assert all(torch.equal(a, b) for a, b in zip(held, copies, strict=True))
    # Those that nobody held took turns.
    assert len(places) < 12 and places.isdisjoint(image.data_ptr() for image in held)
    image = next(iter(loader)).image
    assert (image.fill_(3) == 3).all()  # ours to write to


def break_samples(domain, folder, keys):
    """A copy of a pack in which some samples end early."""
    folder.mkdir()
    store, broken = _anrl.Pack(str(domain.path)), _anrl.PackWriter(str(folder))
    for key, _ in store.keys():
        content = store.get(key)
        broken.put(key, content[:-40] if key in keys else content)
    broken.put("__anrl__/index", store.get("__anrl__/index"))
    broken.finish()
    return Domain.open(folder)


def test_bad_samples_are_skipped_with_a_word_about_each(domains, tmp_path):
    live = [i for i, record in enumerate(domains[0].records) if record.label == 0]
    bad = {live[1], live[2]}
    broken = break_samples(domains[0], tmp_path / "broken", {domains[0].records[i].path for i in bad})
    options = {"seed": 2, "on_error": "skip"}
    with pytest.warns(UserWarning, match="not a whole JPEG.*next sample of its class"):
        found = list(DomainLoader([broken], 4, TRANSFORM, num_threads=1, **options))
    with pytest.warns(UserWarning):
        again = list(DomainLoader([broken], 4, TRANSFORM, num_threads=2, **options).epoch(0))
    for whole, a, b in zip(DomainLoader(domains[:1], 4, TRANSFORM, seed=2), found, again, strict=True):
        assert_same(a, b)
        assert torch.equal(a.label, whole.label)
        for wanted, got in zip(whole.index.flatten().tolist(), a.index.flatten().tolist(), strict=True):
            assert got == (live[3] if wanted in bad else wanted)
    nothing = break_samples(domains[0], tmp_path / "none", {domains[0].records[i].path for i in live})
    with pytest.warns(UserWarning), pytest.raises(DataError, match="no sample of the class"):
        list(DomainLoader([nothing], 4, TRANSFORM, **options))


@pytest.mark.parametrize("start_method", ["fork", "spawn", "forkserver", None])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_dataset_in_a_dataloader_of_ones_own(domains, start_method):
    dataset = LmdbDataset(domains[0], TRANSFORM, augment=True, seed=4)
    workers = {"num_workers": 2, "multiprocessing_context": start_method} if start_method else {}
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, **workers)
    dataset.set_epoch(3)
    found = [torch.cat(column) for column in zip(*loader, strict=True)]
    assert found[3].tolist() == list(range(12)) and found[1].tolist() == domains[0].labels.tolist()
    options = {"balanced": False, "shuffle": False, "seed": 4}
    for batch in DomainLoader(domains[:1], 12, TRANSFORM, **options).epoch(3):
        assert torch.equal(found[0], batch.image[:, 0]) and torch.equal(found[2], batch.depth[:, 0])
    assert torch.equal(dataset[-1].image, found[0][-1]) and len(dataset) == 12
    with pytest.raises(IndexError, match="12 samples"):
        dataset[12]


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


def test_many_batches_do_not_make_memory_grow(domains):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    loader = DomainLoader(domains, 2, Transform(image_size=64))
    taken, before = 0, None
    for epoch in range(10_000 // len(loader) + 1):
        for _ in loader.epoch(epoch):
            taken += 1
        if taken >= 2000 and before is None:
            before = resident()
    # The images of a batch take 400 kB: one that was kept of every hundred would be seen.
    assert taken >= 10_000 and resident() - before < 20_000_000


def _first_label(domains):
    torch.set_num_threads(1)
    return next(DomainLoader(domains, 4, TRANSFORM).epoch(0)).label[0].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"crop_area": 0.3},
        {"brightness_contrast_prob": 0.5},
        {"blur_prob": 0.5},
        {"noise_prob": 0.5},
        {"jpeg_prob": 0.5},
        {"cutout_prob": 0.5, "cutout_area": 0.5},
    ],
)
def test_more_augmentations_are_drawn_anew_in_every_epoch(domains, options):
    quiet = {"image_size": 16, "flip_prob": 0.0, "jitter_prob": 0.0}
    plain, changed = Transform(**quiet), Transform(**quiet, **options)
    loaders = [DomainLoader(domains[1:], 10, t, seed=1, shuffle=False) for t in (plain, changed)]
    epochs = [[torch.cat([b.image for b in loader.epoch(e)]) for e in range(20)] for loader in loaders]
    same = torch.stack([(a == b).flatten(1).all(1) for a, b in zip(*epochs, strict=True)])
    share = 1 - same.float().mean().item()
    # A crop of nearly all of these small images is all of them.
    wanted = (0.85, 1.0) if "crop_area" in options else (0.35, 0.65)
    assert wanted[0] < share <= wanted[1]
    assert len({image.numpy().tobytes() for epoch in epochs[1] for image in epoch[:1]}) > 5
    assert not torch.equal(epochs[1][0], epochs[1][1])
