"""The rows of the C tables as Python sees them. Read by _core.pyx alone."""

from cbp._c cimport CBP_MAX_ARGS, cbp_info, cbp_kind, cbp_table


cdef inline list rows_of(cbp_kind kind):
    """One dictionary per row."""
    cdef int n = 0, i, k
    cdef const cbp_info *rows = cbp_table(kind, &n)
    return [
        {
            "name": rows[i].name.decode(),
            "args": [(rows[i].arg[k].name.decode(), rows[i].arg[k].value)
                     for k in range(CBP_MAX_ARGS) if rows[i].arg[k].name != NULL],
            "limits": (rows[i].arg_range.low, rows[i].arg_range.high),
            "targets": (rows[i].targets.low, rows[i].targets.high),
            "learning_rate": rows[i].learning_rate,
            "n_slots": rows[i].n_slots,
            "row_wise": bool(rows[i].row_wise),
            "head": bool(rows[i].head),
            "partner": rows[i].partner.decode(),
            "pair": rows[i].pair.decode(),
            "formula": rows[i].formula.decode(),
            "slope": rows[i].slope.decode(),
            "curvature": rows[i].curvature.decode(),
            "onnx": rows[i].onnx.decode(),
            "exception": rows[i].exception.decode(),
            "source": rows[i].source.decode(),
        }
        for i in range(n)
    ]
