# SPDX-License-Identifier: Apache-2.0
"""Enough DER to write any certificate or revocation list, sound or not."""

import datetime


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*parts):
    return tlv(0x30, *parts)


def explicit(number, *parts):
    return tlv(0xA0 | number, *parts)


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(data):
    return tlv(0x04, data)


def bits(data, unused=0):
    return tlv(0x03, bytes([unused]), data)


def utf8(text):
    return tlv(0x0C, text if isinstance(text, bytes) else text.encode())


def oid(text):
    first, second, *rest = map(int, text.split("."))
    body = bytearray([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(0x06, bytes(body))


def moment(days):
    """A time so many days from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return tlv(0x18 if days > 7000 else 0x17, (now + datetime.timedelta(days=days)).strftime(
        "%Y%m%d%H%M%SZ" if days > 7000 else "%y%m%d%H%M%SZ").encode())


def elements(data):
    """The elements of a DER sequence's content, each whole."""
    while data:
        size, head = data[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head], "big")
        yield data[: head + size]
        data = data[head + size :]


def content(data):
    head = 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)
    return data[head:]
