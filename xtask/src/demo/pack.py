"""Turns a wheel into an uncompressed tar of what it contains, the same bytes every time.

Usage: pack.py WHEEL TAR. That is how an application's files look once installed: not compressed, in a fixed order.
"""

import io
import os
import sys
import tarfile
import zipfile


def main(wheel: str, output: str) -> None:
    partial = output + ".partial"
    with zipfile.ZipFile(wheel) as packed, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(entry.filename for entry in packed.infolist() if not entry.is_dir()):
            content = packed.read(name)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    os.replace(partial, output)


main(sys.argv[1], sys.argv[2])
