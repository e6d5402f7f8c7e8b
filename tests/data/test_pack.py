"""Lists, packs and domains: ours, the official layout, and everything that can be wrong with them."""

import pickle
from dataclasses import replace

import lmdb
import numpy as np
import pytest
from PIL import Image

from anrl import _anrl
from anrl.data import Domain, DomainLoader, Records, Transform, pack, read_list, read_samples, verify
from anrl.data.records import INDEX_KEY
from anrl.errors import DataError
from anrl.plots import plot_samples
from support.images import encode, official_pack, packed_domain, photograph, write_domain


@pytest.fixture
def domain(tmp_path):
    return packed_domain(tmp_path)


def test_pack_holds_files_and_index(domain, tmp_path):
    assert domain.name == "tiny.lmdb"
    assert len(domain) == 16
    assert list(domain.records) == read_list(tmp_path / "data/list.txt")
    with lmdb.open(str(domain.path), readonly=True, lock=False) as env, env.begin() as txn:
        for record in domain.records:
            assert txn.get(record.path.encode()) == (tmp_path / "data" / record.path).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "tiny.lmdb"]


def test_domain_can_be_pickled_and_split_by_subject(domain):
    again = pickle.loads(pickle.dumps(domain))
    assert again.records == domain.records and len(again.samples) == len(domain)
    train, validation = domain.split_validation(0.25, seed=3)
    assert {r.subject for r in train.records}.isdisjoint(r.subject for r in validation.records)
    assert len(train) == 12 and len(validation) == 4
    with pytest.raises(DataError, match="validation fraction"):
        domain.select(lambda r: r.subject == "s0").split_validation(0.5, seed=0)


@pytest.mark.parametrize("subdir", [True, False])
def test_packs_of_the_official_layout_are_read(tmp_path, subdir):
    file = write_domain(tmp_path / "data")
    records = read_list(file)
    official_pack(tmp_path / "official", tmp_path / "data", records, subdir=subdir)
    with pytest.raises(DataError, match="without an index.*list files"):
        Domain.open(tmp_path / "official")
    real, fake = tmp_path / "real.txt", tmp_path / "fake.txt"
    real.write_text("".join(f"{r.path} 0\n" for r in records if r.label == 0))
    box = "0.1 0.2 0.3 0.4"
    marks = "4 5 14 5 9 9 5 15 13 15"
    fake.write_text("".join(f"{r.path} 1 {box} {marks}\n" for r in records if r.label == 1))
    domain = Domain.open(tmp_path / "official", [real, fake], depth_rule="{stem}_depth.png")
    assert domain.labels.tolist() == [0] * 8 + [1] * 8
    assert domain.records[0].depth == "0_0_0_depth.png"
    assert domain.records[-1].landmarks == (4, 5, 14, 5, 9, 9, 5, 15, 13, 15)


def test_pack_is_read_beside_py_lmdb_and_without_write_permission(domain):
    with lmdb.open(str(domain.path), readonly=True, lock=False) as env, env.begin() as txn:
        again = Domain.open(domain.path)
        assert txn.get(again.records[0].path.encode())
    domain.path.chmod(0o555)
    assert len(Domain.open(domain.path)) == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no samples"),
        ("a.jpg\n", "line 1: expected a path and a label"),
        ("a.jpg 0\nb.jpg 2\n", "line 2: label must be 0 .* or 1 .*, not '2'"),
        ("# path color\na.jpg 0\n", "columns must include path and label"),
        ("# path label video\na.jpg 0\n", "line 2: no value for column 'video'"),
    ],
)
def test_bad_lists_are_named(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=f"list.txt.*{message}"):
        read_list(tmp_path / "list.txt")


def test_missing_list_and_bad_depth_rule_are_named(tmp_path):
    with pytest.raises(DataError, match="none.txt"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "list.txt").write_text("a.jpg 0\n")
    with pytest.raises(DataError, match="depth rule"):
        read_list(tmp_path / "list.txt", depth_rule="{nonsense}.png")
    assert read_list(tmp_path / "list.txt", depth_rule="{folder}/{stem}_d{suffix}")[0].depth == "./a_d.jpg"


def break_missing(root, lines):
    lines.append("gone.jpg 1 - s0 s0_1 print")
    return "gone.jpg.*does not exist"


def break_truncated(root, lines):
    name = lines[1].split()[0]
    content = (root / name).read_bytes()
    (root / name).write_bytes(content[: len(content) // 2])
    return f"{name}.*not a whole JPEG"


def break_empty_file(root, lines):
    (root / lines[2].split()[0]).write_bytes(b"")
    return "no bytes"


def break_not_an_image(root, lines):
    (root / lines[2].split()[0]).write_text("hello")
    return "neither a JPEG nor a PNG"


def break_one_class(root, lines):
    lines[:] = [line for line in lines if line.startswith("#") or line.split()[1] == "0"]
    return "are bona fide; add the list with the attacks"


def break_listed_twice(root, lines):
    lines.append(lines[-1])
    return "listed twice"


def break_long_key(root, lines):
    (root / ("d" * 200) / ("e" * 200)).mkdir(parents=True)
    name = "d" * 200 + "/" + "e" * 200 + "/" + "f" * 120 + ".png"
    (root / name).write_bytes(encode(photograph(8, 8)))
    lines.append(f"{name} 1 - s0 s0_1 print")
    return "longer than the 511 bytes"


@pytest.mark.parametrize(
    "damage",
    [
        break_missing,
        break_truncated,
        break_empty_file,
        break_not_an_image,
        break_one_class,
        break_listed_twice,
        break_long_key,
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, damage):
    file = write_domain(tmp_path / "data")
    lines = file.read_text().splitlines()
    message = damage(file.parent, lines)
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        pack(tmp_path / "tiny.lmdb", read_list(file), root=file.parent)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def damage_files(root, names):
    for name, content in zip(names, (b"", b"hello", None), strict=False):
        (root / name).unlink() if content is None else (root / name).write_bytes(content)


def test_one_run_names_all_bad_files_or_leaves_their_samples_out(tmp_path):
    file = write_domain(tmp_path / "data")
    records = read_list(file)
    bad = [records[1].path, records[6].path, records[4].depth]
    damage_files(file.parent, bad)
    with pytest.raises(DataError, match="3 of 24 files cannot be packed") as error:
        pack(tmp_path / "tiny.lmdb", records, root=file.parent)
    assert all(f"{file.parent / name}: " in str(error.value) for name in bad)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    notes = pack(tmp_path / "tiny.lmdb", records, root=file.parent, on_error="skip")
    assert len(notes) == 3 and all("its sample is left out" in note for note in notes)
    kept = [r for i, r in enumerate(records) if i not in (1, 6, 4)]
    domain = Domain.open(tmp_path / "tiny.lmdb")
    assert list(domain.records) == kept
    assert [p for p in verify(domain.path) if "in no list" not in p] == []
    with pytest.raises(ValueError, match="on_error must be"):
        pack(tmp_path / "x", records, root=file.parent, on_error="ignore")


def test_missing_depth_maps_are_errors_or_counted(tmp_path):
    file = write_domain(tmp_path / "data")
    records = read_list(file)
    named = [r for r in records if r.depth]
    (file.parent / named[0].depth).unlink()
    with pytest.raises(DataError, match=f"{named[0].depth}: is listed but does not exist"):
        pack(tmp_path / "tiny.lmdb", records, root=file.parent)
    notes = pack(tmp_path / "tiny.lmdb", records, root=file.parent, allow_missing_depth=True)
    assert notes == [f"{file.parent / named[0].depth}: the depth map does not exist"]
    domain = Domain.open(tmp_path / "tiny.lmdb")
    assert domain.records[records.index(named[0])].depth is None and domain.records.has_depth.sum() == 15
    for record in named[1:]:
        (file.parent / record.depth).unlink()
    with pytest.raises(DataError, match="none of the 8 depth maps that are named exists"):
        pack(tmp_path / "other", records, root=file.parent, allow_missing_depth=True)


def test_one_file_in_two_spellings_is_one_sample(tmp_path):
    file = write_domain(tmp_path / "data")
    records = read_list(file)
    first = records[0]
    for path in (f"./{first.path}", f"x/../{first.path}"):
        for label, message in ((0, "listed twice"), (1, "listed with both labels")):
            again = replace(first, path=path, label=label)
            with pytest.raises(DataError, match=f"{first.path}: is {message}; keep one"):
                pack(tmp_path / "tiny.lmdb", [*records, again], root=file.parent)
    (file.parent / "sub").mkdir()
    (file.parent / first.path).rename(file.parent / "sub" / first.path)
    pack(tmp_path / "tiny.lmdb", [replace(first, path=f"sub\\{first.path}"), *records[1:]], root=file.parent)
    assert Domain.open(tmp_path / "tiny.lmdb").records[0].path == f"sub/{first.path}"
    with pytest.raises(DataError, match="is listed as an image and as a depth map"):
        pack(tmp_path / "x", [replace(records[1], depth=records[2].path), *records[2:]], root=file.parent)


def test_samples_without_subject_and_video_are_split_one_by_one(tmp_path):
    file = write_domain(tmp_path / "data")
    records = [replace(r, subject="", video="") for r in read_list(file)]
    pack(tmp_path / "tiny.lmdb", records, root=file.parent)
    domain = Domain.open(tmp_path / "tiny.lmdb")
    with pytest.warns(UserWarning, match="neither subject nor video, so they are split one by one"):
        train, validation = domain.split_validation(0.25, seed=0)
    assert (len(train), len(validation)) == (12, 4)
    assert {r.path for r in train.records}.isdisjoint(r.path for r in validation.records)
    assert set(validation.labels.tolist()) == set(train.labels.tolist()) == {0, 1}


def test_readable_samples_are_kept_and_the_others_named(domain):
    rewrite(domain.path, lambda key, value: value[:-20] if key in ("0_0_1.jpg", "1_0_0_depth.png") else value)
    readable, problems = Domain.open(domain.path).readable()
    assert len(readable) == 14 and len(problems) == 2
    assert "0_0_1.jpg" in problems[0] and "1_0_0_depth.png" in problems[1]


def test_packs_that_are_none_are_named(domain, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, message in [(tmp_path / "none", "no such pack"), (tmp_path / "empty", "without data.mdb")]:
        with pytest.raises(DataError, match=message):
            Domain.open(path)
    file = domain.path / "data.mdb"
    content = bytearray(file.read_bytes())
    copy = tmp_path / "copy.mdb"
    copy.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="ends early"):
        Domain.open(copy)
    content[20] = 3
    copy.write_bytes(content)
    with pytest.raises(DataError, match="format 3.*format 1"):
        Domain.open(copy)
    copy.write_bytes(b"not a pack at all" * 9)
    with pytest.raises(DataError, match="not an LMDB file"):
        Domain.open(copy)


def test_a_list_of_another_pack_is_named(domain, tmp_path):
    (tmp_path / "other.txt").write_text("0_0_0.jpg 0\nelsewhere.jpg 1\n")
    with pytest.raises(DataError, match="key 'elsewhere.jpg': is not in the pack; does the list belong"):
        Domain.open(domain.path, [tmp_path / "other.txt"])


def test_records_are_columns_that_read_like_a_list(domain, tmp_path):
    plain = read_list(tmp_path / "data/list.txt")
    plain[3] = replace(plain[3], landmarks=tuple(float(v) for v in range(10)), subject="Zoë")
    records = Records.of(plain)
    assert records == plain and records[-1] == plain[-1] and records[3:5] == plain[3:5]
    chosen = records.select(np.array([5, 3]))
    assert list(chosen) == [plain[5], plain[3]] and chosen.labels.tolist() == [plain[5].label, plain[3].label]
    assert Records.of(chosen) is chosen and records != plain[:-1]
    with pytest.raises(IndexError):
        records[16]


def rewrite(path, change):
    """Changes entries of a pack: ``change`` gets (key, value) and returns a value, or None to drop it."""
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for key, value in list(txn.cursor()):
            new = change(key.decode(), value)
            txn.delete(key) if new is None else txn.put(key, new)


def test_verify_finds_all_kinds_of_damage(domain, tmp_path):
    assert verify(domain.path) == []
    listed = verify(domain.path, [tmp_path / "data/list.txt"])
    assert listed == []
    seen = []
    verify(domain.path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (16, 16)
    other = encode(photograph(24, 24, seed=77), "JPEG")
    rewrite(
        domain.path,
        lambda key, value: {"0_0_0.jpg": None, "0_0_1.jpg": other, "1_0_0_depth.png": value[:-9]}.get(
            key, value
        ),
    )
    problems = verify(domain.path)
    assert [problem.split(":")[0] for problem in problems] == ["0_0_0.jpg", "0_0_1.jpg", "1_0_0_depth.png"]
    assert "missing" in problems[0] and "checksum" in problems[1] and "checksum" in problems[2]
    rewrite(domain.path, lambda key, value: value[:-9] if key == "1_0_1_depth.png" else value)
    with lmdb.open(str(domain.path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        txn.put(b"stray.jpg", other)
        txn.delete(INDEX_KEY.encode())
    (tmp_path / "rest.txt").write_text("# path label depth\n0_0_1.jpg 0 1_0_1_depth.png\n0_1_0.jpg 1 -\n")
    problems = verify(domain.path, [tmp_path / "rest.txt"])
    assert "stray.jpg: is in the pack but in no list" in problems
    assert any("1_0_1_depth.png: not a whole PNG" in problem for problem in problems)


def test_damaged_packs_never_crash(domain, tmp_path):
    good = (domain.path / "data.mdb").read_bytes()
    generator = np.random.default_rng(0)
    file = tmp_path / "damaged.mdb"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        content = bytearray(good)
        # A page's head and its list of nodes, which others can only be followed through, or anywhere.
        page = 4096 * int(generator.integers(len(content) // 4096))
        reach = 64 if generator.random() < 0.7 else 4096
        for at in generator.integers(page, page + reach, generator.integers(1, 8)).tolist():
            content[at] = int(generator.integers(256))
        file.write_bytes(content)
        try:
            damaged = Domain.open(file)
            verify(file)
            for record in damaged.records:
                _anrl.Pack(str(file)).get(record.path)
            next(DomainLoader([damaged], 2, Transform(image_size=8), num_threads=1).epoch(0))
            outcomes["read"] += 1
        except DataError as error:
            assert "damaged.mdb" in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 400


def test_a_pack_that_another_process_writes_to_is_named(domain):
    next(DomainLoader([domain], 2, Transform(image_size=8)).epoch(0))
    with lmdb.open(str(domain.path)) as env, env.begin(write=True) as txn:
        txn.put(b"new", b"value")
    with pytest.raises(DataError, match="written to while it was open"):
        next(DomainLoader([domain], 2, Transform(image_size=8)).epoch(0))
    assert _anrl.Pack(str(domain.path)).get("new") == b"value"


def test_large_packs_of_py_lmdb_are_read_like_py_lmdb(tmp_path):
    generator = np.random.default_rng(1)
    sizes = [0, 1, 100, 1900, 2000, 2100, 4000, 4080, 5000, 90_000]
    entries = {
        bytes(generator.integers(1, 256, generator.integers(1, 512), dtype=np.uint8)): bytes(
            generator.integers(0, 256, generator.choice(sizes), dtype=np.uint8)
        )
        for _ in range(3000)
    }
    names = sorted(entries)
    with lmdb.open(str(tmp_path / "large"), map_size=1 << 30) as env:
        with env.begin(write=True) as txn:
            for name in generator.permutation(len(names)).tolist():
                txn.put(names[name], entries[names[name]])
        with env.begin(write=True) as txn:  # so that pages are free and used again
            for name in names[::3]:
                txn.delete(name)
        env.copy(str(tmp_path), compact=True)
    ascii_names = {f"k{i:05d}": bytes([i % 256]) * (i % 7000) for i in range(3000)}
    with lmdb.open(str(tmp_path / "ascii"), map_size=1 << 30) as env, env.begin(write=True) as txn:
        for name, content in ascii_names.items():
            txn.put(name.encode(), content)
    pack = _anrl.Pack(str(tmp_path / "ascii"))
    assert pack.keys() == [(name, len(content)) for name, content in ascii_names.items()]
    assert all(pack.get(name) == content for name, content in ascii_names.items())
    assert pack.get("k") is None and pack.get("k99999") is None and pack.get("a") is None
    kept = [len(entries[name]) for i, name in enumerate(names) if i % 3]
    for path in (tmp_path / "large", tmp_path / "data.mdb"):
        assert [size for _, size in _anrl.Pack(str(path)).keys()] == kept


def test_a_damaged_index_is_named(domain):
    for change, message in [
        (lambda value: value[:100], "index is damaged"),
        (lambda value: b'{"version": 1}', "version 1 and this anrl reads 2"),
        (lambda value: value.replace(b'"version":"2"', b'"version":"9"'), "version 9 and this anrl reads 2"),
    ]:
        before = _anrl.Pack(str(domain.path)).get(INDEX_KEY)
        rewrite(domain.path, lambda key, value, change=change: change(value) if key == INDEX_KEY else value)
        with pytest.raises(DataError, match=message):
            Domain.open(domain.path)
        rewrite(domain.path, lambda key, value, before=before: before if key == INDEX_KEY else value)


@pytest.mark.parametrize("image_format", ["png", "raw", "jpeg", None])
def test_resized_packs_hold_what_the_transform_would_make(tmp_path, image_format):
    file = write_domain(tmp_path / "data", size=50)
    records = read_list(file)
    pack(tmp_path / "baked", records, root=file.parent, image_size=32, image_format=image_format)
    baked = Domain.open(tmp_path / "baked")
    assert baked.records == records and verify(baked.path) == []
    transform = Transform(image_size=32, color="rgb", output="uint8")
    store = _anrl.Pack(str(baked.path))
    for record in records:
        depth = record.depth and (file.parent / record.depth).read_bytes()
        image, small = transform((file.parent / record.path).read_bytes(), depth, label=record.label)
        stored = store.get(record.path)
        again, small_again = transform(stored, record.depth and store.get(record.depth), label=record.label)
        if image_format in ("png", "raw"):
            assert (image == again).all() and (small - small_again).abs().max() <= 0.5 / 255 + 1e-6
        else:
            # JPEG of quality 95, of noisy images.
            assert (image.float() - again.float()).abs().mean() < 4
        assert stored.startswith({"png": b"\x89PNG", "raw": b"ANRLRAW1"}.get(image_format, b"\xff\xd8"))


def test_raw_packs_are_read_as_gray_and_color_and_damage_is_named(tmp_path):
    file = write_domain(tmp_path / "data")
    pack(tmp_path / "raw", read_list(file), root=file.parent, image_format="raw")
    store = _anrl.Pack(str(tmp_path / "raw"))
    image, depth = store.get("0_0_0.jpg"), store.get("0_0_0_depth.png")
    for stored, name in ((image, "0_0_0.jpg"), (depth, "0_0_0_depth.png")):
        for gray in (False, True) if stored is depth else (False,):
            expected = _anrl.decode_image((file.parent / name).read_bytes(), gray)
            np.testing.assert_array_equal(_anrl.decode_image(stored, gray), expected)
    assert _anrl.decode_image(image, True).shape == (24, 24, 1)
    for end in (0, 8, 15, 19, 20, len(image) - 1):
        with pytest.raises(DataError):
            _anrl.decode_image(image[:end])
    for at in range(8, 20):
        with pytest.raises(DataError, match="not a whole raw image"):
            _anrl.decode_image(image[:at] + bytes([image[at] ^ 0x55]) + image[at + 1 :])


def test_bad_arguments_of_pack_are_named(tmp_path):
    records = read_list(write_domain(tmp_path / "data"))
    with pytest.raises(ValueError, match="image_format must be"):
        pack(tmp_path / "x", records, root=tmp_path / "data", image_format="webp")
    with pytest.raises(ValueError, match="image_size"):
        pack(tmp_path / "x", records, root=tmp_path / "data", image_size=30)
    marked = [replace(record, landmarks=(1.0,) * 10) for record in records]
    with pytest.raises(ValueError, match="landmarks cannot be resized"):
        pack(tmp_path / "x", marked, root=tmp_path / "data", image_size=32)
    assert not (tmp_path / "x").exists()


def test_keys_in_any_order_and_growing_packs(tmp_path):
    writer = _anrl.PackWriter(str(tmp_path))
    rng = np.random.default_rng(0)
    content = {f"{rng.integers(1 << 30)}.bin": rng.bytes(5_000_000) for _ in range(130)}
    for key, value in content.items():
        writer.put(key, value)
    writer.finish()
    store = _anrl.Pack(str(tmp_path))
    assert [key for key, _ in store.keys()] == sorted(content)
    assert all(store.get(key) == value for key, value in content.items())


def test_a_failed_overwrite_keeps_what_was_there(domain, tmp_path, monkeypatch):
    records = read_list(tmp_path / "data/list.txt")
    before = (domain.path / "data.mdb").read_bytes()
    (tmp_path / "data" / records[-1].path).write_bytes(b"broken")
    with pytest.raises(DataError):
        pack(domain.path, records, root=tmp_path / "data", overwrite=True)
    assert (domain.path / "data.mdb").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "tiny.lmdb"]


def test_csv_files_in_the_form_of_bobs_protocols(tmp_path):
    file = tmp_path / "train.csv"
    file.write_text("filename,subject,attack_type,camera\na/1.png,7,,x\nb/2.png,8,print,y\n")
    live, attack = read_samples(file, depth_rule="{folder}/{stem}_d.png")
    assert (live.path, live.label, live.subject, live.attack) == ("a/1.png", 0, "7", "")
    assert (live.depth, live.video) == ("a/1_d.png", "a")
    assert (attack.label, attack.attack, attack.depth) == (1, "print", None)
    file.write_text("filename,label,video\na/1.png,1,v1\n")
    assert (read_samples(file)[0].label, read_samples(file)[0].video) == (1, "v1")
    for text, message in [
        ("name,label\nx,1\n", "must name filename"),
        ("filename,label\nx,3\n", "line 2: label must be 0"),
        ("filename,attack_type\n", "no samples"),
    ]:
        file.write_text(text)
        with pytest.raises(DataError, match=f"train.csv.*{message}"):
            read_samples(file)


def test_folders_say_what_their_images_are(tmp_path):
    for name in ["live/s1/1.jpg", "live/s1/1_depth.png", "Spoof/replay/s1/2.png", "print/3.JPG"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = {r.path: r for r in read_samples(tmp_path, depth_rule="{folder}/{stem}_depth.png")}
    assert set(found) == {"live/s1/1.jpg", "Spoof/replay/s1/2.png", "print/3.JPG"}
    assert found["live/s1/1.jpg"].depth == "live/s1/1_depth.png" and found["live/s1/1.jpg"].label == 0
    assert found["Spoof/replay/s1/2.png"].attack == "replay" and found["print/3.JPG"].attack == "print"
    assert found["Spoof/replay/s1/2.png"].video == "Spoof/replay/s1"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/4.png").write_bytes(b"")
    with pytest.raises(DataError, match="other/4.png: cannot tell what it is.*bonafide"):
        read_samples(tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no JPEG or PNG"):
        read_samples(tmp_path / "nothing")


def test_a_picture_of_samples(domain, tmp_path):
    figure = plot_samples(domain, count=3)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels == ["attack\nprint", "attack\nreplay", "bona fide"]
    assert sum(len(axes.images) for axes in figure.axes) == 9
    figure.savefig(tmp_path / "samples.png")
    with Image.open(tmp_path / "samples.png") as image:
        assert image.size[0] > 100
