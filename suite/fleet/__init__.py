"""The same run on many machines, as whole runs that Dask starts and whose files are fetched part by part."""
