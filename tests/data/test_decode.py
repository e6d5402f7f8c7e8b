"""Decoding against OpenCV, and one verdict on every file."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from PIL import Image

from anrl import _anrl, backend_info
from anrl.data import Domain, Transform, decode_image, evaluation_batches, pack, read_list, verify
from anrl.data.pack import INDEX_KEY
from anrl.errors import DataError
from support.images import encode, photograph
from support.jpeg import END, jpeg_file, segment

IMAGES = Path(__file__).parent / "images"
COLOR_420 = ((2, 2), (1, 1), (1, 1))
BANDS = [(0, 1), (1, 6), (6, 64)]
SHAPES = [(52, 45), (1, 1), (2, 3), (5, 4), (17, 33), (3, 40)]
SAMPLINGS = {
    "4:4:4": ((1, 1),) * 3,
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": COLOR_420,
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "4:4:1": ((1, 4), (1, 1), (1, 1)),
    "thirds": ((3, 1), (1, 1), (1, 1)),
    "odd chroma": ((2, 2), (2, 1), (1, 2)),
    "one full chroma": ((2, 2), (2, 2), (1, 1)),
    "large chroma": ((1, 1), (2, 2), (2, 2)),
    "gray": ((1, 1),),
    "gray of factor 2": ((2, 2),),
    "four": ((1, 1),) * 4,
    "four, halved": ((2, 2), (1, 1), (1, 1), (2, 2)),
}
KINDS = {
    "baseline": {},
    "progressive": {"bands": BANDS},
    "restarts": {"restart": 2},
    "three scans": {"scans": [[0], [1], [2]]},
    "two scans": {"scans": [[0], [1, 2]]},
}


def peer(content, gray=False):
    """OpenCV's pixels as ours are laid out; None if it refuses the file."""
    flag = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    if pixels is None:
        return None
    return pixels[..., None] if gray else pixels[..., ::-1]


def assert_opencvs(content):
    for gray in (False, True):
        np.testing.assert_array_equal(decode_image(content, gray), peer(content, gray))


def outcome(call, *arguments, **options):
    """Whether a call accepts what it is given."""
    try:
        call(*arguments, **options)
    except DataError as error:
        return error
    return None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_opencvs(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_opencvs(encode(photograph(40, 56), kind, exif=exif))


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"quality": 30}, {"keep_rgb": True}],
)
@pytest.mark.parametrize("shape", [(64, 64), (61, 47), (9, 130), (1, 1), (3, 256)])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_opencvs(options, shape, channels):
    if channels == 1:
        options = {k: v for k, v in options.items() if k not in ("subsampling", "keep_rgb")}
    assert_opencvs(encode(photograph(*shape, channels), "JPEG", **options))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sampling_and_order_of_scans_is_opencvs(sampling, kind):
    factors, options = SAMPLINGS[sampling], KINDS[kind]
    if "scans" in options and len(factors) != 3:
        options = {"scans": [[n] for n in range(len(factors))]}
    for width, height in SHAPES:
        assert_opencvs(jpeg_file(width, height, factors, **options))


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("adobe", [0, 1, 2, 100])
def test_color_spaces_of_adobes_marker_are_opencvs(count, adobe):
    assert_opencvs(jpeg_file(sampling=((1, 1),) * count, adobe=adobe))


def test_cmyk_of_an_encoder_is_opencvs():
    buffer = io.BytesIO()
    Image.fromarray(photograph(61, 47)).convert("CMYK").save(buffer, "JPEG", quality=90)
    assert_opencvs(buffer.getvalue())


@pytest.mark.parametrize("name", ["arithmetic.jpg", "arithmetic_progressive.jpg"])
def test_arithmetic_code_is_opencvs_and_none_is_cut_unseen(name):
    content = (IMAGES / name).read_bytes()
    assert_opencvs(content)
    for twentieths in range(1, 20):
        cut = content[: len(content) * twentieths // 20]
        assert "early" in str(outcome(decode_image, cut))
        # The last rows that a decoder reads ahead could be missing.
        if twentieths < 12:
            assert outcome(decode_image, cut + END) is not None


def odd_files():
    """Files with an oddity on which no pixel depends, and which OpenCV reads."""
    file, exif = encode(photograph(61, 47), "JPEG", quality=85), Image.Exif()
    progressive = encode(photograph(61, 47), "JPEG", progressive=True)
    exif[0x0112] = 6
    app1 = segment(0xE1, exif.tobytes())
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    for name, whole in (("baseline", file), ("progressive", progressive)):
        tables, scan = whole.index(b"\xff\xdb"), whole.index(b"\xff\xda")
        yield f"{name}, two bytes before the end", whole[:-2] + b"\x12\x34" + END
        yield f"{name}, zeros before the end", whole[:-2] + bytes(5000) + END
        yield f"{name}, bytes after the end", whole + b"more" * 100
        yield f"{name}, junk before the tables", whole[:tables] + b"junk\xff\0" + whole[tables:]
        yield f"{name}, junk before the scan", whole[:scan] + b"junk\xff\0" + whole[scan:]
    yield "a marker before the end", file[:-2] + b"\x12\xff\x37\x56" + END
    scans = jpeg_file(scans=[[0], [1], [2]])
    last = scans.rindex(b"\xff\xda")
    yield "junk between scans", scans[:last] + b"\x11\x22" + scans[last:]
    header = file.index(b"\xff\xda")
    end = header + 2 + struct.unpack(">H", file[header + 2 : header + 4])[0]
    yield "no band in the scan's header", file[: end - 3] + bytes(3) + file[end:]
    yield "a new JFIF", jpeg_file(segments=segment(0xE0, b"JFIF\0\x07\0\0\0\1\0\1\0\0"))
    yield "XMP before EXIF", jpeg_file(segments=xmp + app1)
    yield "EXIF twice", jpeg_file(segments=app1 + segment(0xE1, exif.tobytes().replace(b"\6", b"\3")))
    # Motion JPEG leaves out the usual tables.
    tables = file.index(b"\xff\xc4")
    yield "no Huffman tables", file[:tables] + file[header:]


ODD_FILES = dict(odd_files())


@pytest.mark.parametrize("name", ODD_FILES)
def test_oddities_that_no_pixel_depends_on_are_read(name):
    assert_opencvs(ODD_FILES[name])


WHOLE_FILES = {
    "baseline": encode(photograph(61, 47), "JPEG", quality=85),
    "progressive": encode(photograph(61, 47), "JPEG", quality=85, progressive=True),
    "gray": encode(photograph(61, 47, 1), "JPEG", quality=85),
    "gray progressive": encode(photograph(61, 47, 1), "JPEG", quality=85, progressive=True),
    "restarts": jpeg_file(restart=2),
    "three scans": jpeg_file(scans=[[0], [1], [2]]),
    "CMYK": jpeg_file(sampling=((1, 1),) * 4, adobe=0),
}


@pytest.mark.parametrize("kind", WHOLE_FILES)
def test_only_the_end_marker_may_be_missing(kind):
    whole = WHOLE_FILES[kind]
    pixels = decode_image(whole)
    ends = [len(whole) * twentieths // 20 for twentieths in range(1, 20)]
    for end in [*ends, *range(len(whole) - 30, len(whole))]:
        cut = whole[:end]
        if end >= len(whole) - 2:
            np.testing.assert_array_equal(decode_image(cut), pixels)
            continue
        assert "its data end early" in str(outcome(decode_image, cut)), end
        assert outcome(decode_image, cut + END) is not None, end


@pytest.mark.parametrize(
    "file",
    [
        jpeg_file(bands=BANDS[:1]),
        jpeg_file(bands=BANDS[:2]),
        jpeg_file(scans=[[0], [2]]),
        jpeg_file(scans=[[1, 2]]),
    ],
)
def test_a_missing_scan_is_an_error(file):
    assert peer(file) is not None
    assert "its data end early" in str(outcome(decode_image, file))


def test_a_lost_place_is_an_error():
    file = jpeg_file(restart=3)
    first = file.index(b"\xff\xd1")
    for damaged in (
        file[:first] + file[first + 2 :],
        file.replace(b"\xff\xd1", b"\xff\xd2"),
        file[:first] + bytes(range(1, 60)) + file[first:],
        jpeg_file()[:-2] + bytes(range(1, 200)) + END,
    ):
        assert peer(damaged) is not None
        assert "damaged" in str(outcome(decode_image, damaged))


def mutants(count, seed=0):
    """Files with a few bits turned after the header."""
    generator = np.random.default_rng(seed)
    kinds = [
        encode(photograph(96, 128), "JPEG", quality=85),
        encode(photograph(96, 128), "JPEG", progressive=True),
        encode(photograph(96, 128), "JPEG", restart_marker_blocks=4),
    ]
    for i in range(count):
        content = bytearray(kinds[i % 3])
        for at in generator.integers(600, len(content) - 2, generator.integers(1, 4)).tolist():
            content[at] ^= 1 << int(generator.integers(8))
        yield bytes(content)


def test_what_of_damaged_files_is_read_is_opencvs():
    read = [content for content in mutants(300) if outcome(decode_image, content) is None]
    # Without vector code, coefficients too large for any image overflow otherwise.
    if _anrl.JPEG_IS_VECTORIZED:
        for content in read:
            assert_opencvs(content)
    # What is left is damage that no decoder can see: another level that the code allows.
    assert 30 < len(read) < 200


@pytest.fixture
def verdicts(tmp_path):
    """A function from a file to what each reader of it says."""
    good = encode(photograph(24, 24), "JPEG")
    for name in ("a.jpg", "b.jpg", "c.png"):
        (tmp_path / name).write_bytes(good)
    (tmp_path / "list.txt").write_text("# path label depth\na.jpg 0 c.png\nb.jpg 1 -\n")
    records = read_list(tmp_path / "list.txt")
    pack(tmp_path / "tiny", records, root=tmp_path)
    transform = Transform(image_size=16)

    def judge(content, gray):
        name, other = ("c.png", "a.jpg") if gray else ("a.jpg", "c.png")
        (tmp_path / name).write_bytes(content)
        (tmp_path / other).write_bytes(good)
        with lmdb.open(str(tmp_path / "tiny"), map_size=1 << 24) as env, env.begin(write=True) as txn:
            txn.put(name.encode(), content)
            txn.put(other.encode(), good)
            txn.delete(INDEX_KEY.encode())
        domain = Domain.open(tmp_path / "tiny", [tmp_path / "list.txt"])
        options = {"root": tmp_path, "overwrite": True}
        return {
            "decode_image": outcome(decode_image, content, gray),
            "transform": outcome(transform, *((good, content) if gray else (content,))),
            "read": outcome(domain.read, 0),
            "loader": outcome(list, evaluation_batches(domain, 2, transform)),
            "verify": next(iter(verify(domain.path, [tmp_path / "list.txt"])), None),
            "pack": outcome(pack, tmp_path / "out", records, **options),
            "pack anew": outcome(pack, tmp_path / "out", records, image_format="png", **options),
            "pack resized": outcome(pack, tmp_path / "out", records, image_size=16, **options),
        }

    return judge


@pytest.mark.parametrize("gray", [False, True])
def test_every_reader_gives_one_verdict(verdicts, gray):
    files = [
        *mutants(45, seed=1),
        *ODD_FILES.values(),
        *(f[: len(f) * 9 // 20] for f in WHOLE_FILES.values()),
        *(f[: len(f) * 19 // 20] + END for f in WHOLE_FILES.values()),
        *(f[:-2] for f in WHOLE_FILES.values()),
        jpeg_file(bands=BANDS[:2]),
        encode(photograph(9, 9)),
        encode(photograph(9, 9))[:-9],
        png(8, 8, 16, 0),
    ]
    accepted = 0
    for content in files:
        said = verdicts(content, gray)
        refused = {name for name, error in said.items() if error is not None}
        assert refused in (set(), set(said)), said
        reason = str(said["decode_image"])
        assert all(reason in str(error) for error in said.values()), said
        accepted += not refused
    assert 30 < accepted < len(files) - 20


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rows(width, height, depth, color, seed):
    generator = np.random.default_rng(seed)
    size = (width * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth + 7) // 8
    lines = (generator.integers(0, 256, size, dtype=np.uint8) for _ in range(height))
    return zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))


def png(width, height, depth, color, before=b"", after=b"", seed=0):
    """A PNG file of random bits."""
    palette = np.random.default_rng(9).integers(0, 256, 3 << depth, dtype=np.uint8) if color == 3 else None
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            before,
            chunk(b"PLTE", palette.tobytes()) if palette is not None else b"",
            chunk(b"IDAT", rows(width, height, depth, color, seed)),
            after,
            chunk(b"IEND", b""),
        ]
    )


GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
PROFILE = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(range(200))))
PNG_KINDS = [(d, 0) for d in (1, 2, 4, 8, 16)] + [(d, 3) for d in (1, 2, 4, 8)]
PNG_KINDS += [(d, color) for color in (2, 4, 6) for d in (8, 16)]


@pytest.mark.parametrize("extra", [b"", GAMMA, PROFILE, chunk(b"sRGB", b"\0"), chunk(b"tEXt", b"a\0b")])
@pytest.mark.parametrize(("depth", "color"), PNG_KINDS)
def test_png_of_every_kind_is_opencvs(depth, color, extra):
    content = png(13, 7, depth, color, extra)
    np.testing.assert_array_equal(decode_image(content), peer(content))
    if depth == 16:
        return
    is_gray, has_gamma = color in (0, 4), extra.startswith((GAMMA[:8], chunk(b"sRGB", b"\0")))
    if is_gray or not has_gamma:
        np.testing.assert_array_equal(decode_image(content, gray=True), peer(content, gray=True))
    else:
        # The stated difference: without the gamma, luma is the same.
        plain = decode_image(png(13, 7, depth, color), gray=True)
        np.testing.assert_array_equal(decode_image(content, gray=True), plain)
        assert (peer(content, gray=True) != plain).any()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_gray_depth_maps_are_exact(bits):
    levels = np.arange(1 << bits, dtype=np.uint8)
    stretched = levels * (255 // (2**bits - 1))
    packed = np.packbits((levels[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)).tobytes()
    header = struct.pack(">IIBBBBB", len(levels), 1, bits, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode_image(b"\x89PNG\r\n\x1a\n" + data, gray=True)[0, :, 0], stretched)
    with_alpha = np.stack([stretched, stretched[::-1]], -1)[None]
    as_color = np.repeat(stretched[None, :, None], 3, 2)
    palette = Image.fromarray(stretched[None])
    palette = palette.convert("P")
    for image in (Image.fromarray(with_alpha, "LA"), Image.fromarray(as_color), palette):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        np.testing.assert_array_equal(decode_image(buffer.getvalue(), gray=True)[0, :, 0], stretched)


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_16_bit_depth_is_refused_with_a_remedy(color, tmp_path):
    content = png(8, 8, 16, color)
    with pytest.raises(DataError, match="16 bits .*scale it to levels from 0 to 255"):
        decode_image(content, gray=True)
    for name, file in (("a.png", content), ("b.png", content), ("depth.png", content)):
        (tmp_path / name).write_bytes(file)
    (tmp_path / "list.txt").write_text("# path label depth\na.png 0 depth.png\nb.png 1 -\n")
    with pytest.raises(DataError, match="depth.png: .*16 bits"):
        pack(tmp_path / "out", read_list(tmp_path / "list.txt"), root=tmp_path)


@pytest.mark.parametrize("color", [0, 2, 4, 6])
@pytest.mark.parametrize("shows_default", [True, False])
def test_of_an_animation_the_default_image_is_read(color, shows_default):
    def control(number):
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 13, 7, 0, 0, 1, 10, 0, 0))

    def frame(number):
        data = rows(13, 7, 8, color, number)
        return control(number) + chunk(b"fdAT", struct.pack(">I", number + 1) + data)

    seed = 0 if shows_default else 9
    animation = chunk(b"acTL", struct.pack(">II", 2, 0))
    if shows_default:
        content = png(13, 7, 8, color, animation + control(0), frame(1), seed)
        np.testing.assert_array_equal(decode_image(content), peer(content))
    else:
        content = png(13, 7, 8, color, animation, frame(0) + frame(2), seed)
        # The stated difference.
        assert (decode_image(content) != peer(content)).any()
    np.testing.assert_array_equal(decode_image(content), decode_image(png(13, 7, 8, color, seed=seed)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP file, not JPEG or PNG; convert it"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC file, not JPEG or PNG; convert it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF file, not JPEG or PNG; convert it"),
        (b"\0\0\0\x1cftypisom\0\0\0\0", "a video"),
        (b"GIF89a\x01\0", "a GIF file"),
        (b"<!DOCTYPE html><html>", "an HTML page, not JPEG or PNG; download the image again"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\0\x05\x16\x07\0\x02\0\0", "AppleDouble"),
        (bytes(100), "only zeros"),
        (b"no image at all", "neither a JPEG nor a PNG"),
    ],
)
def test_the_true_format_is_named(content, message, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        decode_image(tmp_path / "a.jpg")
    assert raised.value.path == str(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF"])
def test_the_true_format_of_an_encoders_file_is_named(kind):
    with pytest.raises(DataError, match=rf"(?i)a {kind} file, not JPEG or PNG; convert it"):
        decode_image(encode(photograph(8, 8), kind))


def test_image_bombs_are_refused_by_their_header():
    jpeg = encode(photograph(8, 8), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    bomb = jpeg[:frame] + struct.pack(">HH", 65500, 65500) + jpeg[frame + 4 :]
    assert "65500 x 65500 pixels" in str(outcome(decode_image, bomb))
    assert "20000 x 8 pixels" in str(outcome(decode_image, png(20000, 8, 1, 0)))
    scan = jpeg_file(8, 8, ((1, 1),), bands=[(0, 1), *[(1, 2)] * 600, (2, 64)])
    assert "scans" in str(outcome(decode_image, scan))


def test_damaged_bytes_never_crash():
    generator = np.random.default_rng(0)
    files = [
        encode(photograph(32, 32), "JPEG"),
        encode(photograph(32, 32), "JPEG", progressive=True),
        (IMAGES / "arithmetic.jpg").read_bytes(),
        encode(photograph(32, 32)),
    ]
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(100_000):
        content = bytearray(files[generator.integers(4)])
        for at in generator.integers(0, len(content), generator.integers(1, 8)).tolist():
            content[at] ^= 1 << (at * 7 % 8)
        try:
            assert decode_image(bytes(content)).shape[2] == 3
            outcomes["decoded"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 100_000 and min(outcomes.values()) > 5000


def test_backend_info_says_whether_the_decoder_is_fast():
    told = backend_info().paths["JPEG files"]
    assert ("install nasm" in told) != _anrl.JPEG_IS_VECTORIZED
