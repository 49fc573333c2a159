"""Asks a booster what it says of some rows, through XGBoost's C interface.

`Booster.inplace_predict` calls the same function. Around it, it makes a class and a proxy matrix for every call, and
with the matrix looks up in the file system how many processors there are: for one house, and with a web server's work
in between, that took ten times as long as the trees.
"""

from __future__ import annotations

import ctypes
import json
import threading
from typing import Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from steps.common.features import Matrix

# Before it prices several rows XGBoost lays every tree out anew, which takes as long as some ten rows by themselves.
_SINGLY: Final = 8
# Up to this many rows are done in less time than other threads take to give Python's lock back.
_FEW: Final = 64
_LIBRARY: Final = xgboost.build_info()["libxgboost"]
_KEEPING_LOCK: Final = ctypes.PyDLL(_LIBRARY)
_RELEASING_LOCK: Final = ctypes.CDLL(_LIBRARY)
_last_error: Final = _KEEPING_LOCK.XGBGetLastError
_last_error.restype = ctypes.c_char_p
_MARGIN: Final = 1
_FLOAT_BYTES: Final = 4
# As its Python function has it, NaN included: all trees, rows as a flat list.
_ASKED: Final = json.dumps({
    "type": _MARGIN, "training": False, "iteration_begin": 0, "iteration_end": 0, "missing": float("nan"),
    "strict_shape": False, "cache_id": 0,
}).encode()  # fmt: skip


class _Own(threading.local):
    """What the C interface writes to and reads from, made once for each thread."""

    def __init__(self) -> None:
        self.proxy = ctypes.c_void_p()
        _check(_KEEPING_LOCK.XGProxyDMatrixCreate(ctypes.byref(self.proxy)))
        self.margins = ctypes.POINTER(ctypes.c_float)()
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self.found = ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(self.margins)


def margins(booster: xgboost.Booster, matrix: Matrix) -> NDArray[np.float32]:
    """Return the log of each row's price, to be read only; raise XGBoostError where the rows are not the booster's."""
    rows = np.ascontiguousarray(matrix, np.float32)
    count, width = rows.shape
    address, _ = rows.__array_interface__["data"]
    library = _KEEPING_LOCK if count <= _FEW else _RELEASING_LOCK
    if count > _SINGLY:
        return np.frombuffer(_asked(library, booster, address, count, width), np.float32)
    starts = range(address, address + rows.nbytes, _FLOAT_BYTES * width)
    return np.frombuffer(b"".join([_asked(library, booster, start, 1, width) for start in starts]), np.float32)


def _asked(library: ctypes.CDLL, booster: xgboost.Booster, address: int, count: int, width: int) -> bytes:
    array = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}' % (address, count, width)
    _check(library.XGBoosterPredictFromDense(booster.handle, array, _ASKED, _own.proxy, *_own.found))
    # The result is the booster's, for this thread, until it is asked again.
    return ctypes.string_at(_own.margins, _FLOAT_BYTES * count)


def _check(status: int) -> None:
    if status:
        raise xgboost.core.XGBoostError((_last_error() or b"").decode())


_own: Final = _Own()
