"""Lists, packs and domains: ours, the official layout, and everything that can be wrong with them."""

import pickle

import lmdb
import pytest

from anrl import DataError
from anrl.data import Domain, pack, read_list
from images import encode, photograph, write_domain


@pytest.fixture
def domain(tmp_path):
    file = write_domain(tmp_path / "data")
    pack(tmp_path / "tiny.lmdb", read_list(file), root=file.parent)
    return Domain.open(tmp_path / "tiny.lmdb")


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
    train, held = domain.hold_out(0.25, seed=3)
    assert {r.subject for r in train.records}.isdisjoint(r.subject for r in held.records)
    assert len(train) == 12 and len(held) == 4
    with pytest.raises(DataError, match="held-out fraction"):
        domain.select(lambda r: r.subject == "s0").hold_out(0.5, seed=0)


def official_pack(path, root, records, **options):
    with lmdb.open(str(path), map_size=1 << 24, **options) as env, env.begin(write=True) as txn:
        for record in records:
            for name in filter(None, (record.path, record.depth)):
                txn.put(name.encode(), (root / name).read_bytes())


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
        ("# path colour\na.jpg 0\n", "columns must include path and label"),
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


def test_an_existing_pack_is_kept_unless_told(domain, tmp_path):
    records = read_list(tmp_path / "data/list.txt")[:4]
    before = (domain.path / "data.mdb").read_bytes()
    with pytest.raises(DataError, match="exists already"):
        pack(domain.path, records, root=tmp_path / "data")
    assert (domain.path / "data.mdb").read_bytes() == before
    pack(domain.path, records, root=tmp_path / "data", overwrite=True)
    assert len(Domain.open(domain.path)) == 4


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
    with pytest.raises(DataError, match="has no key 'elsewhere.jpg'"):
        Domain.open(domain.path, [tmp_path / "other.txt"])
