"""Runs SQL of standard input with DuckDB in the folder that is given, or counts rows with pyarrow."""
import datetime
import sys

tool, folder = sys.argv[1:3]
if tool == "duckdb":
    import os

    import duckdb

    os.chdir(folder)
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")

    def text(value):
        if value is None:
            return "null"
        if isinstance(value, datetime.datetime):
            return value.replace(tzinfo=None).isoformat(" ", "milliseconds")
        return str(value)

    for row in connection.execute(sys.stdin.read()).fetchall():
        print(" | ".join(text(v) for v in row))
else:
    import pyarrow.dataset as dataset

    table = dataset.dataset(folder, format="parquet", partitioning="hive", exclude_invalid_files=False).to_table()
    print(table.num_rows, table.schema.field("items").type, table.schema.field("time").type, sep="\n")
