#!/usr/bin/env python3
"""Computes the slots and owners of golden/v1.tsv once more, with nothing but Python.

Usage: check.py v1.tsv. It also shows how little another language needs to agree with abide.
"""

import re
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def rotate(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & MASK


def one_round(accumulator, lane):
    return rotate((accumulator + lane * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """XXH64 with seed 0, as in its specification."""
    at, length = 0, len(data)
    if length >= 32:
        lanes = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        while at + 32 <= length:
            for lane in range(4):
                start = at + 8 * lane
                word = int.from_bytes(data[start : start + 8], "little")
                lanes[lane] = one_round(lanes[lane], word)
            at += 32
        total = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            total = ((total ^ one_round(0, lane)) * P1 + P4) & MASK
    else:
        total = P5
    total = (total + length) & MASK
    while at + 8 <= length:
        total ^= one_round(0, int.from_bytes(data[at : at + 8], "little"))
        total = (rotate(total, 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= length:
        total ^= int.from_bytes(data[at : at + 4], "little") * P1 & MASK
        total = (rotate(total, 23) * P2 + P3) & MASK
        at += 4
    while at < length:
        total = rotate(total ^ (data[at] * P5 & MASK), 11) * P1 & MASK
        at += 1
    total = (total ^ (total >> 33)) * P2 & MASK
    total = (total ^ (total >> 29)) * P3 & MASK
    return total ^ (total >> 32)


def slot_of_id(identifier):
    if re.fullmatch(r"[0-9a-f]{3}[A-Za-z0-9_-]{27}", identifier):
        return int(identifier[:3], 16)
    return xxh64(identifier.encode()) % 4096


def score(slot, name, weight):
    plain = slot.to_bytes(2, "little") + name.encode()
    points = [plain] + [plain + point.to_bytes(2, "little") for point in range(1, weight)]
    return max(map(xxh64, points))


def owners(slot, members):
    return sorted(members, key=lambda member: (-score(slot, *member), member[0]))


def main():
    checked = 0
    for number, line in enumerate(open(sys.argv[1], encoding="utf-8"), start=1):
        line = line.rstrip("\n")
        if line.startswith("#"):
            continue
        kind, *fields = line.split("\t")
        if kind == "slot":
            identifier, expected = fields
            found = format(slot_of_id(identifier), "03x")
        else:
            slot, pool, expected = fields
            members = [member.partition("*") for member in pool.split(" ")]
            members = [(name, int(weight or 1)) for name, _, weight in members]
            found = " ".join(name for name, _ in owners(int(slot, 16), members))
        if found != expected:
            sys.exit(f"line {number}: {line!r}: computed {found}")
        checked += 1
    print(f"{checked} lines agree")


main()
