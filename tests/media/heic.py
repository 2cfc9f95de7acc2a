"""A HEIC picture as telephones write it: tiles coded one by one, and a `grid` item that puts them together.

ISO/IEC 23008-12 (HEIF): boxes of a length, a name and content. No encoder for HEIC is among the packages; the tiles are
coded by x265 and put into the boxes here.
"""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np


def write_heic_grid(path: Path, picture: np.ndarray, tile: int = 256, turns: int = 0) -> Path:
    """picture: uint8 [rows * tile, columns * tile, 3]. turns: quarter turns counter-clockwise that a viewer applies."""
    rows, columns = picture.shape[0] // tile, picture.shape[1] // tile
    tiles = [picture[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(rows) for c in range(columns)]
    coded = [_coded(path.with_suffix(".tile.mp4"), each) for each in tiles]
    configuration, streams = coded[0][0], [stream for _, stream in coded]
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, picture.shape[1], picture.shape[0])
    names = [(index + 1, b"hvc1") for index in range(len(tiles))] + [(len(tiles) + 1, b"grid")]
    items = _full(b"iinf", 0, struct.pack(">H", len(names)) + b"".join(
        _full(b"infe", 2, struct.pack(">HH", number, 0) + kind + b"\0") for number, kind in names
    ))  # fmt: skip
    last = len(tiles) + 1
    parts = struct.pack(">HH", last, len(tiles)) + b"".join(struct.pack(">H", i + 1) for i in range(len(tiles)))
    references = _full(b"iref", 0, _box(b"dimg", parts))
    sizes = [
        _full(b"ispe", 0, struct.pack(">II", tile, tile)),
        _full(b"ispe", 0, struct.pack(">II", picture.shape[1], picture.shape[0])),
    ]
    properties = [_box(b"hvcC", configuration), *sizes, _box(b"irot", bytes([turns]))]
    links = [(number, [1, 2]) for number in range(1, last)] + [(last, [3, 4])]
    association = struct.pack(">I", len(links)) + b"".join(
        struct.pack(">HB", number, len(of)) + bytes(0x80 | index for index in of) for number, of in links
    )
    described = _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", 0, association))
    start = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        places = b""
        for number, data in enumerate([*streams, grid], start=1):
            places += struct.pack(">HHHII", number, 0, 1, offset, len(data))
            offset += len(data)
        location = _full(b"iloc", 0, struct.pack(">BBH", 0x44, 0, last) + places)
        handler = _full(b"hdlr", 0, bytes(4) + b"pict" + bytes(13))
        return _full(b"meta", 0, handler + _full(b"pitm", 0, struct.pack(">H", last)) + location + items + references
                     + described)  # fmt: skip

    head = len(start) + len(meta(0)) + 8
    path.write_bytes(start + meta(head) + _box(b"mdat", b"".join(streams) + grid))
    return path


def _coded(path: Path, pixels: np.ndarray) -> tuple[bytes, bytes]:
    """The decoder's configuration and one picture, as they lie in an MP4 file."""
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:pools=1:frame-threads=1:keyint=1", "crf": "4"}
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt, stream.codec_tag = "yuv420p", "hvc1"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        picture = next(bytes(packet) for packet in container.demux(video=0))
    data = path.read_bytes()
    path.unlink()
    place = data.index(b"hvcC")
    return data[place + 4 : place - 4 + struct.unpack(">I", data[place - 4 : place])[0]], picture


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _full(name: bytes, version: int, content: bytes) -> bytes:
    return _box(name, bytes([version, 0, 0, 0]) + content)
