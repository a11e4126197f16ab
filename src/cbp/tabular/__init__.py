"""Tables for the command line: files read and written some rows at a time, and their coding for a network.

`open_table` reads CSV (strictly, with NumPy alone) and Parquet; `open_answers` writes CSV, JSON lines and Parquet.
`gather` collects the columns to learn from, `Coding` makes the network's inputs of them and is what a model keeps of
its table. Nothing here knows networks; pyarrow is imported where a Parquet file is met.
"""

from cbp.tabular._blocks import Block, MissingError, TableError
from cbp.tabular._columns import Table, Wish, gather
from cbp.tabular._reading import BLOCK_ROWS, Source, open_table
from cbp.tabular._writing import FORMS, Sink, form_of, open_answers
from cbp.tabular.coding import Coding, Column, Target, code_target

__all__ = [
    "BLOCK_ROWS",
    "FORMS",
    "Block",
    "MissingError",
    "Coding",
    "Column",
    "Sink",
    "Source",
    "Table",
    "TableError",
    "Target",
    "Wish",
    "code_target",
    "form_of",
    "gather",
    "open_answers",
    "open_table",
]
