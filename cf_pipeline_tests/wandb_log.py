"""Reads the transaction log of an offline wandb run.

wandb 0.31 ships no Python reader. The file is a LevelDB log: seven bytes of header, then blocks of
32 KiB with records of CRC-32, length, kind (whole, first, middle, last) and data; a record's
data, joined, is one protobuf message. `nested_key` and `key` are two ways to write a name.
"""

import json
import struct
import zlib
from pathlib import Path

from wandb.proto import wandb_internal_pb2

_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def read_messages(path: Path):
    """Every record, as wandb's protobuf messages."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, parts, messages = 7, b"", []
    while position + _HEADER.size <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER.size:
            position += left
            continue
        checksum, length, kind = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        data = content[position : position + length]
        position += length
        assert zlib.crc32(bytes([kind]) + data) == checksum
        parts += data
        if kind in {_WHOLE, _LAST}:
            message = wandb_internal_pb2.Record()
            message.ParseFromString(parts)
            messages.append(message)
            parts = b""
    assert position == len(content)
    assert not parts
    return messages


def _pairs(items):
    return {(".".join(i.nested_key) or i.key): json.loads(i.value_json) for i in items}


def read_run(path: Path):
    """`run`, `config`, `history` (a dict per step), `summary` and `exit_code` of a run."""
    found = {"config": {}, "history": [], "summary": {}, "run": None, "exit_code": None}
    for message in read_messages(path):
        kind = message.WhichOneof("record_type")
        if kind == "run":
            found["run"] = message.run
            found["config"] |= _pairs(message.run.config.update)
        elif kind == "config":
            found["config"] |= _pairs(message.config.update)
        elif kind == "history":
            found["history"].append(_pairs(message.history.item))
        elif kind == "summary":
            found["summary"] |= _pairs(message.summary.update)
        elif kind == "exit":
            found["exit_code"] = message.exit.exit_code
    return found
