"""For the tests of the command line: two tables, how to read one, and what a refusal looks like."""

import csv
import io
import re

import numpy as np

from cbp.cli import bench

QUICK = ["--epochs", "30", "--hidden", "8", "--learning-rate", "0.05", "--quiet"]
IRIS_LIKE = "length,width,kind\n" + "".join(
    f"{i % 3 + 0.01 * i},{10 * (i % 3) - 0.1 * i},{'abc'[i % 3]}\n" for i in range(60)
)
LINEAR = "u,v,target\n" + "".join(f"{i % 7},{i * i % 11},{100 + 3 * (i % 7) - 2 * (i * i % 11)}\n" for i in range(80))


def refused(result, *fragments):
    """The command ended with status 2 and printed nothing but one line on stderr, which holds these fragments."""
    status, out, err = result
    assert status == 2
    assert re.fullmatch(r"cbp: error: [^\n]+\n", err), err
    assert [fragment for fragment in fragments if fragment not in err] == []
    return not out


def rows_of(text):
    """Every row of a table, the header first."""
    return list(csv.reader(io.StringIO(text)))


def learns(name):
    """A contender of `cbp bench` answers one row with probabilities, and with others after an epoch."""
    size = bench.Size("tiny", (3, 4, 2), 20, 5)
    contender = bench.MAKERS[name](size, *bench._samples(size), None)
    contender.epoch()
    before = np.array(contender.one_row())
    contender.epoch()
    after = np.array(contender.one_row())
    assert after.size == 2
    assert abs(after.sum() - 1) < 1e-6
    assert not np.array_equal(before, after)
