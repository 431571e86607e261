#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes files into a C source, as the table that server/control/web.h tells of: embed.py OUTPUT PATH=FILE[+FILE...]...

Files that are joined by + are served as one."""

import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def array(number, data):
    lines = (", ".join(map(str, data[start : start + 24])) for start in range(0, len(data), 24))
    return f"static const unsigned char file{number}[] = {{\n    " + ",\n    ".join(lines) + "\n};\n"


def main(output, entries):
    arrays, rows = [], []
    for number, entry in enumerate(entries):
        path, files = entry.split("=", 1)
        files = list(map(pathlib.Path, files.split("+")))
        data = b"".join(file.read_bytes() for file in files)
        arrays.append(array(number, data))
        rows.append(f'    {{ "{path}", "{TYPES[files[-1].suffix]}", file{number}, sizeof file{number} }},\n')
    pathlib.Path(output).write_text(
        '#include "web.h"\n\n' + "\n".join(arrays) + "\nconst struct web_file web_files[] = {\n" + "".join(rows) + "};\n"
        f"const size_t web_file_count = {len(rows)};\n")


main(sys.argv[1], sys.argv[2:])
