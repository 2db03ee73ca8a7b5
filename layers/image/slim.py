"""slim.py PREFIX: take the symbol tables out of the compiled modules below PREFIX.

They follow what a program loads, and only debuggers read them; of rattler's 82 MB they
are 27. strip(1) does the same, and is in no small base image.
"""

import struct
import sys
from pathlib import Path

for path in sorted(Path(sys.argv[1]).rglob("*.so")):
    data = bytearray(path.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: what we run on
        continue
    begin, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    end = begin + size * count
    for i in range(count):
        kind, offset, length = struct.unpack_from("<I4xQ16xQ", data, begin + i * size)
        if kind == 1:  # what is loaded
            end = max(end, offset + length)
    struct.pack_into("<Q", data, 40, 0)  # no section headers: they come last
    struct.pack_into("<HHH", data, 58, 0, 0, 0)
    path.write_bytes(data[:end])
